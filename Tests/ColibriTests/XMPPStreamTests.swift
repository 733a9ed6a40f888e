// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import Colibri

/// The stream from the first byte to the last: the way in, what passes through, and the ways out.
@Suite struct XMPPStreamTests {
    @Test func logsInOverStartTLSWithPlain() throws {
        let stream = try XMPPSample.stream()
        let actions = XMPPSample.play(try XMPPSample.session(), on: stream).joined
        let address = try #require(JID(XMPPSample.address))
        #expect(actions.count == 8)
        #expect(actions[0..<1].map(\.self).sent.contains("<stream:stream to='auth.meet.lab' version='1.0'"))
        #expect(actions[0..<1].map(\.self).sent.hasSuffix("<starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/>"))
        #expect(actions[1] == .startTLS)
        let login = actions[2..<3].map(\.self).sent
        #expect(login.contains("mechanism=\"PLAIN\">AGp2YgBwYXNzdzByZA==</auth>"))
        #expect(login.contains("<bind xmlns=\"urn:ietf:params:xml:ns:xmpp-bind\"/>"), "no resource may be asked for")
        #expect(login.hasSuffix("<presence/>"))
        #expect(actions[3] == .ready(address))
        #expect(actions[4...].map(\.self).stanzas.map(\.name) == ["presence", "iq", "message"])
        #expect(
            actions[7] == .send(Array("<iq type=\"result\" id=\"p1\" from=\"\(address)\" to=\"auth.meet.lab\"/>".utf8)))
        #expect(stream.isReady && stream.isSecure && stream.address == address)
        // bind and four of traffic; bind, presence and the answer to the ping.
        #expect(stream.inboundStanzas == 5)
        #expect(stream.outboundStanzas == 3)
    }

    @Test func everyFragmentationOfTheSessionGivesTheSame() throws {
        let session = try XMPPSample.session()
        let whole = XMPPSample.play(session, on: try XMPPSample.stream()).joined
        for (number, step) in session.enumerated() {
            guard case .bytes(let text) = step else { continue }
            for cut in 0...text.utf8.count {
                let actions = XMPPSample.play(session, on: try XMPPSample.stream()) { text, index in
                    let bytes = Array(text.utf8)
                    return index == number ? [Array(bytes[..<cut]), Array(bytes[cut...])] : [bytes]
                }
                #expect(actions.joined == whole, "step \(number) cut at \(cut)")
            }
        }
        let single = XMPPSample.play(session, on: try XMPPSample.stream()) { text, _ in text.utf8.map { [$0] } }
        #expect(single.joined == whole)
    }

    /// A server that does SCRAM, knowing the password.
    static func scram(
        _ stream: XMPPStream, _ hash: SCRAMHash, auth: String, iterations: Int32 = 4096, cheats: Bool = false
    )
        throws -> (first: String, last: (String) throws -> String)
    {
        let first = try #require(auth.between(">", "<").flatMap { SASLBase64.decode($0) })
        let bare = String(decoding: first, as: UTF8.self).dropFirst(3)
        let nonce = try #require(String(bare).split(separator: "r=").last) + "server"
        let salt = Array("salt of the server".utf8)
        let message = "r=\(nonce),s=\(SASLBase64.encode(salt)),i=\(iterations)"
        let password = Array((cheats ? "unknown" : "passw0rd").utf8)
        return (
            "<challenge xmlns='\(XMLNamespace.sasl)'>\(SASLBase64.encode(message.utf8))</challenge>",
            { response in
                let final = try #require(response.between(">", "<").flatMap { SASLBase64.decode($0) })
                let text = try #require(String(decoding: final, as: UTF8.self).split(separator: ",p=").first)
                let signed = Array("\(bare),\(message),\(text)".utf8)
                let salted = try #require(hash.salted(password: password, salt: salt, iterations: iterations))
                let key = try #require(hash.authenticate(Array("Server Key".utf8), key: salted))
                return "v=" + SASLBase64.encode(try #require(hash.authenticate(signed, key: key)))
            }
        )
    }

    /// Up to the `<auth/>` of a stream without TLS.
    static func untilAuth(_ mechanisms: String) throws -> (XMPPStream, String) {
        let stream = try XMPPSample.stream(.disabled)
        _ = stream.connected(now: .at(0))
        let actions = stream.receive(XMPPSample.header + XMPPSample.features(mechanisms))
        return (stream, actions.sent)
    }

    @Test(arguments: [("SCRAM-SHA-1", SCRAMHash.sha1), ("SCRAM-SHA-256", .sha256)])
    func logsInWithSCRAM(_ mechanism: String, _ hash: SCRAMHash) throws {
        // Prosody proves itself in the success, other servers in one more challenge.
        for provesInSuccess in [true, false] {
            let (stream, auth) = try Self.untilAuth(XMPPSample.mechanisms("PLAIN", mechanism))
            #expect(auth.contains("mechanism=\"\(mechanism)\""))
            let server = try Self.scram(stream, hash, auth: auth)
            let proof = try SASLBase64.encode(server.last(stream.receive(server.first).sent).utf8)
            var success = "<success xmlns='\(XMLNamespace.sasl)'>\(proof)</success>"
            if !provesInSuccess {
                let actions = stream.receive("<challenge xmlns='\(XMLNamespace.sasl)'>\(proof)</challenge>")
                #expect(actions.sent == "<response xmlns=\"\(XMLNamespace.sasl)\"/>")
                success = XMPPSample.success
            }
            #expect(stream.receive(success).sent.hasPrefix("<?xml"))
            #expect(stream.receive(XMPPSample.header + XMPPSample.bindFeatures).sent.contains("<bind"))
        }
    }

    @Test func aServerThatDoesNotKnowThePasswordIsNotBelieved() throws {
        let (stream, auth) = try Self.untilAuth(XMPPSample.mechanisms("SCRAM-SHA-256"))
        let server = try Self.scram(stream, .sha256, auth: auth, cheats: true)
        let proof = try SASLBase64.encode(server.last(stream.receive(server.first).sent).utf8)
        let actions = stream.receive("<success xmlns='\(XMLNamespace.sasl)'>\(proof)</success>")
        #expect(actions.failure == .sasl(.wrongServerSignature))
        #expect(!actions.sent.contains("<?xml"))
    }

    @Test func successWithoutProofIsNotBelieved() throws {
        for early in [true, false] {
            let (stream, auth) = try Self.untilAuth(XMPPSample.mechanisms("SCRAM-SHA-1"))
            if !early { _ = stream.receive(try Self.scram(stream, .sha1, auth: auth).first) }
            #expect(stream.receive(XMPPSample.success).failure == .sasl(.missingServerSignature))
        }
    }

    // MARK: Security of the way in

    @Test func plainIsNotSaidWithoutTLS() throws {
        for security in [XMPPStreamConfiguration.Security.disabled, .ifPossible] {
            let stream = try XMPPSample.stream(security)
            _ = stream.connected(now: .at(0))
            let actions = stream.receive(XMPPSample.header + XMPPSample.features(XMPPSample.mechanisms("PLAIN")))
            #expect(actions.failure == .sasl(.noCommonMechanism))
            #expect(!actions.sent.contains("auth"))
        }
    }

    @Test func bytesBehindProceedAreFatal() throws {
        for injected in [" ", "\n", "<", XMPPSample.header, XMPPSample.success, "</stream:stream>"] {
            let stream = try XMPPSample.stream()
            _ = stream.connected(now: .at(0))
            _ = stream.receive(XMPPSample.header + XMPPSample.startTLSFeatures)
            let actions = stream.receive(XMPPSample.proceed + injected)
            #expect(actions == [.failed(.unexpectedBytes)] || actions.last == .failed(.unexpectedBytes), "\(injected)")
            #expect(!actions.contains(.startTLS))
            #expect(stream.secured(now: .at(0)).isEmpty)
        }
    }

    @Test func bytesBeforeTLSIsUpAreFatal() throws {
        let stream = try XMPPSample.stream()
        _ = stream.connected(now: .at(0))
        _ = stream.receive(XMPPSample.header + XMPPSample.startTLSFeatures)
        #expect(stream.receive(XMPPSample.proceed) == [.startTLS])
        #expect(stream.receive("") == [])
        #expect(stream.receive(" ") == [.failed(.unexpectedBytes)])
    }

    @Test func bytesBehindSuccessAreFatal() throws {
        for (injected, isFatal) in [("<iq/>", true), (XMPPSample.header, true), ("x", true), ("\r\n ", false)] {
            let stream = try XMPPSample.stream()
            _ = XMPPSample.play(try XMPPSample.session()[..<4], on: stream)
            let actions = stream.receive(XMPPSample.success + injected)
            #expect((actions.failure != nil) == isFatal, "\(injected)")
            #expect(actions.sent.contains("<?xml") == !isFatal)
        }
    }

    static let offers: [(XMPPStreamConfiguration.Security, String, XMPPError?, String)] = [
        (.required, "", .tlsNotOffered, ""),
        (.required, "<starttls xmlns='\(XMLNamespace.tls)'/>", nil, "<starttls"),
        (.ifPossible, "<starttls xmlns='\(XMLNamespace.tls)'/>", nil, "<starttls"),
        (.ifPossible, "", nil, "<auth"),
        (.disabled, "<starttls xmlns='\(XMLNamespace.tls)'/>", nil, "<auth"),
        (.disabled, "<starttls xmlns='\(XMLNamespace.tls)'><required/></starttls>", .tlsRequiredByServer, ""),
        // An element of that name in another namespace is not the offer.
        (.required, "<starttls xmlns='urn:x'/>", .tlsNotOffered, ""),
    ]

    @Test(arguments: offers)
    func usesTLSAsConfigured(
        _ security: XMPPStreamConfiguration.Security, _ offer: String, _ error: XMPPError?, _ sent: String
    ) throws {
        let stream = try XMPPSample.stream(security)
        _ = stream.connected(now: .at(0))
        let mechanisms = XMPPSample.mechanisms("SCRAM-SHA-1")
        let actions = stream.receive(XMPPSample.header + XMPPSample.features(offer + mechanisms))
        #expect(actions.failure == error)
        if error == nil { #expect(actions.sent.hasPrefix(sent)) }
    }

    static let wrongSteps: [(String, XMPPError)] = [
        ("<a/>", .notAStream),
        ("<stream xmlns='jabber:client' version='1.0'>", .notAStream),
        ("<s:stream xmlns:s='\(XMLNamespace.stream)'>", .notAStream),
        ("<s:stream xmlns:s='\(XMLNamespace.stream)' version='2.0'>", .notAStream),
        (XMPPSample.header + "<iq/>", .unexpectedElement("iq")),
        (XMPPSample.header + XMPPSample.proceed, .unexpectedElement("proceed")),
        (XMPPSample.header + XMPPSample.startTLSFeatures + XMPPSample.success, .unexpectedElement("success")),
        (XMPPSample.header + XMPPSample.startTLSFeatures + "<failure xmlns='\(XMLNamespace.tls)'/>", .tlsRefused),
        (XMPPSample.header + "<a></b>", .xml(.malformed(code: 7))),
        (
            XMPPSample.header + "<stream:error><host-unknown xmlns='\(XMLNamespace.streamErrors)'/></stream:error>",
            .streamError(condition: "host-unknown")
        ),
        (XMPPSample.header + "<stream:error/>", .streamError(condition: "undefined-condition")),
    ]

    @Test(arguments: wrongSteps)
    func refusesWhatHasNoPlace(_ text: String, _ error: XMPPError) throws {
        let stream = try XMPPSample.stream()
        _ = stream.connected(now: .at(0))
        let actions = stream.receive(text)
        #expect(actions.failure == error)
        #expect(actions.last == .failed(error))
        #expect(stream.receive(XMPPSample.header).isEmpty)
        #expect(stream.tick(now: .at(1000)).isEmpty)
        #expect(stream.deadline == nil)
        #expect(stream.send(XMLElement("presence", namespace: XMLNamespace.client)).isEmpty)
    }

    @Test func reportsARefusedLogin() throws {
        let stream = try XMPPSample.stream()
        _ = XMPPSample.play(try XMPPSample.session()[..<4], on: stream)
        let actions = stream.receive("<failure xmlns='\(XMLNamespace.sasl)'><not-authorized/><text>no</text></failure>")
        #expect(actions.failure == .authenticationFailed(condition: "not-authorized"))
    }

    static let bindAnswers: [(String, String)] = [
        (
            "<iq type='error' id='ID'><error type='cancel'><conflict xmlns='\(XMLNamespace.stanzas)'/></error></iq>",
            "conflict"
        ),
        ("<iq type='result' id='ID'/>", "jid-malformed"),
        (
            "<iq type='result' id='ID'><bind xmlns='\(XMLNamespace.bind)'><jid>auth.meet.lab</jid></bind></iq>",
            "jid-malformed"
        ),
    ]

    @Test(arguments: bindAnswers)
    func reportsARefusedResource(_ answer: String, _ condition: String) throws {
        let stream = try XMPPSample.stream()
        let actions = XMPPSample.play(try XMPPSample.session()[..<6], on: stream)
        let id = try #require(actions.sent.between("type=\"set\" id=\"", "\""))
        #expect(stream.receive(answer.replacing("ID", with: id)).failure == .bindFailed(condition: condition))
    }

    // MARK: Time

    @Test func theLoginHasADeadline() throws {
        let session = try XMPPSample.session()
        for steps in 0..<session.count - 1 {
            let stream = try XMPPSample.stream()
            _ = XMPPSample.play(session[..<steps], on: stream)
            #expect(stream.deadline == .at(15))
            #expect(stream.tick(now: .at(14.9)).isEmpty)
            #expect(stream.tick(now: .at(15)).failure == .loginTimeout)
        }
    }

    @Test func pingsTheServerAndMissesItsAnswer() throws {
        let stream = try XMPPSample.readyStream()
        #expect(stream.deadline == .at(30))
        #expect(stream.tick(now: .at(29)).isEmpty)
        for round in 1...3 {
            let time = Double(round) * 30
            let sent = stream.tick(now: .at(time)).sent
            let id = try #require(sent.between("id=\"", "\""))
            #expect(sent == "<iq type=\"get\" id=\"\(id)\" to=\"auth.meet.lab\"><ping xmlns=\"urn:xmpp:ping\"/></iq>")
            #expect(stream.deadline == .at(time + 15))
            let type = round == 1 ? "result" : "error"
            #expect(stream.receive("<iq type='\(type)' id='\(id)' from='auth.meet.lab'/>", at: time + 1).isEmpty)
            #expect(stream.tick(now: .at(time + 15)).isEmpty)
        }
        let id = try #require(stream.tick(now: .at(120)).sent.between("id=\"", "\""))
        // Somebody else cannot answer for the server.
        #expect(stream.receive("<iq type='result' id='\(id)' from='a@b/c'/>", at: 121).stanzas.count == 1)
        #expect(stream.tick(now: .at(134.9)).isEmpty)
        #expect(stream.tick(now: .at(135)).failure == .pingTimeout)
    }

    // MARK: Stanzas

    @Test func answersPingsOfTheServerOnly() throws {
        let stream = try XMPPSample.readyStream()
        let ping = "<ping xmlns='urn:xmpp:ping'/>"
        for from in ["", "from='auth.meet.lab'", "from='jvb@auth.meet.lab'"] {
            let actions = stream.receive("<iq type='get' id='1' \(from)>\(ping)</iq>")
            #expect(actions.count == 1 && actions.sent.hasPrefix("<iq type=\"result\" id=\"1\""))
        }
        for from in ["a@b/c", "jvbbrewery@internal.auth.meet.lab/focus", "other.lab", "@", ""] {
            #expect(stream.receive("<iq type='get' id='1' from='\(from)'>\(ping)</iq>").stanzas.count == 1)
        }
    }

    @Test func whatIsNoStanzaIsIgnored() throws {
        let stream = try XMPPSample.readyStream()
        let before = stream.inboundStanzas
        #expect(stream.receive("<r xmlns='urn:xmpp:sm:3'/><iq xmlns='urn:x'/><stream:features/> \n").isEmpty)
        #expect(stream.inboundStanzas == before)
    }

    @Test func sendsStanzasOnlyWhenReady() throws {
        let presence = XMLElement("presence", namespace: XMLNamespace.client, ["to": "a'b"])
        let stream = try XMPPSample.stream()
        #expect(stream.send(presence).isEmpty)
        _ = XMPPSample.play(try XMPPSample.session(), on: stream)
        let count = stream.outboundStanzas
        #expect(stream.send(presence) == [.send(Array("<presence to=\"a&apos;b\"/>".utf8))])
        #expect(stream.outboundStanzas == count + 1)
    }

    // MARK: The ways out

    @Test func closesInOrder() throws {
        let stream = try XMPPSample.readyStream()
        #expect(stream.close(now: .at(5)).sent == "</stream:stream>")
        #expect(stream.send(XMLElement("presence", namespace: XMLNamespace.client)).isEmpty)
        #expect(stream.receive("<presence/>").isEmpty)
        #expect(stream.receive("</stream:stream>") == [.closed])
        #expect(stream.close(now: .at(6)).isEmpty)
    }

    @Test func closesWithoutAnswerToo() throws {
        let stream = try XMPPSample.readyStream()
        _ = stream.close(now: .at(5))
        #expect(stream.deadline == .at(7))
        #expect(stream.tick(now: .at(6)).isEmpty)
        #expect(stream.tick(now: .at(7)) == [.closed])
    }

    @Test func answersTheServersClose() throws {
        let stream = try XMPPSample.readyStream()
        let actions = stream.receive("<presence/></stream:stream><presence/>")
        #expect(actions.stanzas.count == 1)
        #expect(actions.sent == "</stream:stream>")
        #expect(actions.last == .closed)
        #expect(!stream.isReady)
    }

    // MARK: Endurance

    @Test func aMillionPingsLeaveNothingBehind() throws {
        #if DEBUG
            // Unoptimised code needs a minute for a million.
            let quarter = 250
        #else
            let quarter = 2_500
        #endif
        let stream = try XMPPSample.readyStream()
        let ping =
            "<iq type='get' from='auth.meet.lab' id='ping-1' to='\(XMPPSample.address)'><ping xmlns='urn:xmpp:ping'/></iq>"
        let bytes = Array(String(repeating: ping, count: 100).utf8)
        var answers = 0
        let grown = try Memory.leastGrowth {
            for _ in 0..<quarter { answers += stream.receive(bytes.span, now: .at(0)).count }
        }
        #expect(answers == quarter * 400)
        #expect(stream.inboundStanzas == UInt32(quarter * 400 + 1))
        #expect(grown < 4_000_000, "grew by \(grown) bytes")
    }

    @Test func mutatedSessionsNeverTrap() throws {
        let session = try XMPPSample.session()
        for (number, step) in session.enumerated() {
            guard case .bytes(let text) = step else { continue }
            let bytes = Array(text.utf8)
            func play(_ mutated: [UInt8]) throws -> [XMPPAction] {
                XMPPSample.play(session, on: try XMPPSample.stream()) { text, index in
                    [index == number ? mutated : Array(text.utf8)]
                }
            }
            for index in bytes.indices {
                for flip: UInt8 in [0x01, 0x80] {
                    var mutated = bytes
                    mutated[index] ^= flip
                    let actions = try play(mutated)
                    let ends = actions.filter { if case .failed = $0 { true } else { $0 == .closed } }
                    #expect(ends.count <= 1)
                    #expect(ends.isEmpty || actions.last == ends.first)
                }
                #expect(
                    try play(Array(bytes[..<index])).filter { if case .failed = $0 { true } else { false } }.count <= 1)
            }
        }
    }
}
