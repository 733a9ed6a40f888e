// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import Testing

@Suite struct ConferenceModifyTests {
    static let captures = [
        "create", "create-2022", "accept", "accept-2022", "candidates", "force-mute", "expire-endpoint",
        "expire-conference",
    ].map { "conference-modify-" + $0 }

    private func request(_ name: String) throws -> ConferenceModify {
        try ConferenceModify(xml: try Fixture.payload("conference-modify-" + name))
    }

    private func endpoint(_ name: String) throws -> EndpointModify {
        let request = try request(name)
        #expect(request.endpoints.count == 1)
        return try #require(request.endpoints.first)
    }

    @Test func `reads the creation of a conference and its first endpoint`() throws {
        let request = try request("create")
        #expect(request.meetingID == "e6d18082-b2df-4dc8-85ae-017a420ba34a")
        #expect(request.name == "room1@conference.meet.lab")
        #expect(request.create && !request.expire && !request.rtcstatsEnabled)
        #expect(request.wantsFeedbackSources && !request.toleratesUnknownEndpoints)

        let endpoint = try endpoint("create")
        #expect(endpoint.id == "7e924d62" && endpoint.statsID == "Demond-uJz")
        #expect(endpoint.create && !endpoint.expire && endpoint.describesSession)
        #expect(endpoint.transport == TransportModify(iceControlling: true, sctp: SCTPDescription()))
        #expect(endpoint.capabilities == [Capability.sourceNames])
        #expect(endpoint.sources == nil && endpoint.forceMute == nil && endpoint.initialLastN == nil)
        #expect(endpoint.mucRole == nil)
    }

    @Test func `reads codecs and header extensions`() throws {
        let media = try endpoint("create").media
        #expect(media.map(\.kind) == [.audio, .video])
        #expect(media[0].payloadTypes.map(\.id.rawValue) == [111, 103, 104, 126])
        #expect(media[1].payloadTypes.map(\.id.rawValue) == [100, 107, 101, 96, 97, 99])
        let opus = media[0].payloadTypes[0]
        #expect(opus.name == "opus" && opus.clockRate == 48_000 && opus.channels == 2)
        #expect(opus.parameters == [.init(name: "minptime", value: "10"), .init(name: "useinbandfec", value: "1")])
        #expect(opus.feedback == [.init(type: "transport-cc")])
        #expect(media[0].payloadTypes[3].clockRate == 8000 && media[0].payloadTypes[3].channels == 1)
        let vp8 = media[1].payloadTypes[0]
        #expect(
            vp8.feedback == [
                .init(type: "ccm", subtype: "fir"), .init(type: "nack"), .init(type: "nack", subtype: "pli"),
                .init(type: "transport-cc"),
            ])
        let retransmission = media[1].payloadTypes[3]
        #expect(retransmission.name == "rtx" && retransmission.parameter("apt") == "100")
        #expect(retransmission.parameter("nothing") == nil)
        #expect(media[0].headerExtensions.map(\.id.rawValue) == [1, 5])
        #expect(media[0].headerExtensions[0].uri == "urn:ietf:params:rtp-hdrext:ssrc-audio-level")
        #expect(media[1].headerExtensions.map(\.id.rawValue) == [3, 5])
        #expect(!media[0].extmapAllowMixed && !media[1].extmapAllowMixed)
    }

    @Test func `accepts endpoints without the capability source-names`() throws {
        let endpoint = try endpoint("create-2022")
        #expect(endpoint.create && endpoint.capabilities.isEmpty)
        #expect(try !request("create-2022").create && request("create-2022").wantsFeedbackSources)
        #expect(try request("create-2022").rtcstatsEnabled)
    }

    @Test func `reads the transport and the sources of a client`() throws {
        let endpoint = try endpoint("accept")
        #expect(!endpoint.create && endpoint.describesSession)
        let transport = try #require(endpoint.transport)
        #expect(!transport.iceControlling && transport.sctp == nil && !transport.iceRestart)
        let ice = try #require(transport.ice)
        #expect(ice.ufrag?.rawValue.count == 4 && ice.pwd?.rawValue.count == 24 && ice.generation == nil)
        #expect(ice.rtcpMux && ice.candidates.isEmpty && ice.webSockets.isEmpty)
        #expect(ice.fingerprints.map(\.setup) == [.passive])
        #expect(ice.fingerprints.first?.fingerprint.hash == .sha256)

        let sources = try #require(endpoint.sources)
        #expect(sources.map(\.kind) == [.audio, .video])
        #expect(sources.map(\.name) == [endpoint.id + "-a0", endpoint.id + "-v0"])
        #expect(sources.map(\.videoType) == [nil, .camera])
        #expect(sources.map(\.sources.count) == [1, 6])
        #expect(sources[1].sources.allSatisfy { $0.name == endpoint.id + "-v0" })
        #expect(sources[1].groups.map(\.semantics) == [.retransmission, .simulcast, .retransmission, .retransmission])
        #expect(sources[1].groups.map(\.ssrcs.count) == [2, 3, 2, 2])
        #expect(sources[1].groups[1].ssrcs.first == sources[1].sources.first?.ssrc)
    }

    @Test func `reads sources without names`() throws {
        let sources = try #require(try endpoint("accept-2022").sources)
        #expect(sources.map(\.name) == ["1f5e2761-a0", "1f5e2761-v0"])
        #expect(sources[0].sources == [SSRCDescription(ssrc: SSRC(rawValue: 2_761_749_889))])
        #expect(sources[1].videoType == nil)
    }

    @Test func `reads candidates, whose fingerprint has no setup`() throws {
        let endpoint = try endpoint("candidates")
        let ice = try #require(endpoint.transport?.ice)
        #expect(endpoint.sources == nil)
        #expect(ice.fingerprints.count == 1 && ice.fingerprints.first?.setup == nil)
        #expect(ice.candidates.map(\.transport) == [.udp, .udp, .tcp, .tcp])
        #expect(ice.candidates.map(\.address.port) == [49_176, 52_096, 9, 9])
        #expect(ice.candidates.map(\.address.ip.description) == ["127.0.0.1", "10.77.0.1", "127.0.0.1", "10.77.0.1"])
        #expect(ice.candidates.map(\.priority) == [2_122_260_223, 2_122_194_687, 1_518_280_447, 1_518_214_911])
        #expect(ice.candidates.map(\.tcpType) == [nil, nil, "active", "active"])
        for candidate in ice.candidates {
            #expect(candidate.component == 1 && candidate.generation == 0 && candidate.kind == .host)
            #expect(candidate.network == 1 && candidate.related == nil && candidate.id.count == 10)
        }
    }

    @Test func `reads mute and expiry`() throws {
        let mute = try endpoint("force-mute")
        #expect(mute == EndpointModify(id: mute.id, forceMute: .init(audio: true, video: false)))
        #expect(try request("force-mute").toleratesUnknownEndpoints)
        let expiry = try endpoint("expire-endpoint")
        #expect(expiry == EndpointModify(id: expiry.id, expire: true))
        #expect(
            try request("expire-conference")
                == ConferenceModify(meetingID: "e6d18082-b2df-4dc8-85ae-017a420ba34a", expire: true))
    }

    @Test(arguments: captures)
    func `JSON and XML lead to the same value`(_ name: String) throws {
        let json = try Fixture.json(name)
        #expect(try ConferenceModify(json: json) == ConferenceModify(xml: try Fixture.payload(name)))
    }

    @Test func `JSON and XML agree about everything there is`() throws {
        let xml = """
            <conference-modify xmlns='jitsi:colibri2' meeting-id='m' create='true' name='a@b'><endpoint id='e' \
            create='true' stats-id='s' muc-role='visitor' unknown='1'><media type='video'><payload-type \
            xmlns='urn:xmpp:jingle:apps:rtp:1' id='41' name='AV1' clockrate='90000' channels='3'><parameter name='p' \
            value='1'/></payload-type><rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='15' uri='u'/>\
            <extmap-allow-mixed xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0'/></media><transport \
            ice-controlling='true' use-unique-port='true' ice-restart='true'><sctp role='server' port='5000'/>\
            <transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='abcd' pwd='abcdefghijklmnopqrstuvwx' \
            ice-generation='2'><web-socket xmlns='http://jitsi.org/protocol/colibri' url='wss://x'/><candidate \
            component='1' foundation='9' generation='0' id='i' network='1' priority='7' protocol='tcp' type='srflx' \
            ip='2001:db8::1' port='9' rel-addr='10.0.0.1' rel-port='8' tcptype='active'/></transport></transport>\
            <sources><media-source type='video' id='e-v0' synthetic='true'><source \
            xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='4294967295' name='e-v0' videoType='desktop' rid='h'/>\
            <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='2'/><ssrc-group \
            xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' semantics='fid'><source ssrc='4294967295'/><source ssrc='2'/>\
            </ssrc-group></media-source></sources><force-mute video='true'/><capability name='ssrc-rewriting'/>\
            <capability name='rtp-mid-demux'/><initial-last-n value='-1'/></endpoint></conference-modify>
            """
        let json = """
            {"meeting-id":"m","create":true,"name":"a@b","endpoints":[{"id":"e","create":true,"stats-id":"s",\
            "muc-role":"visitor","unknown":1,"medias":[{"type":"video","payload-types":[{"id":41,"name":"AV1",\
            "clockrate":90000,"channels":3,"parameters":{"p":1,"null":"x"}}],"rtp-hdrexts":[{"id":15,"uri":"u"}],\
            "extmap-allow-mixed":true}],"transport":{"ice-controlling":true,"use-unique-port":true,\
            "ice-restart":true,"sctp":{"role":"server","port":5000},"transport":{"ufrag":"abcd",\
            "pwd":"abcdefghijklmnopqrstuvwx","ice-generation":2,"web-sockets":["wss://x"],"candidates":[{\
            "component":1,"foundation":"9","generation":0,"id":"i","network":1,"priority":7,"protocol":"tcp",\
            "type":"srflx","ip":"2001:db8::1","port":9,"rel-addr":"10.0.0.1","rel-port":8,"tcptype":"active"}]}},\
            "sources":[{"type":"video","id":"e-v0","synthetic":true,"sources":[{"ssrc":4294967295,"name":"e-v0",\
            "videoType":"desktop","rid":"h"},2],"ssrc-groups":[{"semantics":"fid","sources":[4294967295,2]}]}],\
            "force-mute":{"audio":false,"video":true},"capabilities":["ssrc-rewriting","rtp-mid-demux"],\
            "initial-last-n":{"value":-1}}]}
            """
        let fromXML = try ConferenceModify(
            xml: try #require(Fixture.parse(Array("<iq>\(xml)</iq>".utf8)).children.first))
        let fromJSON = try ConferenceModify(json: try JSONValue(text: json))
        #expect(fromXML == fromJSON)
        let endpoint = try #require(fromXML.endpoints.first)
        #expect(endpoint.mucRole == .visitor && endpoint.initialLastN == -1)
        #expect(endpoint.forceMute == .init(audio: false, video: true))
        #expect(endpoint.capabilities == [Capability.ssrcRewriting, Capability.rtpMidDemux])
        #expect(endpoint.media.first?.extmapAllowMixed == true)
        #expect(endpoint.media.first?.headerExtensions.first?.id.rawValue == 15)
        let transport = try #require(endpoint.transport)
        #expect(transport.useUniquePort && transport.iceRestart && transport.sctp == .server)
        #expect(transport.ice?.generation == 2 && transport.ice?.webSockets == ["wss://x"])
        #expect(transport.ice?.candidates.first?.related?.port == 8)
        let source = try #require(endpoint.sources?.first)
        #expect(source.isSynthetic && source.videoType == .desktop)
        #expect(source.sources.first?.rid?.description == "h" && source.sources.first?.ssrc.rawValue == .max)
        #expect(source.groups == [SSRCGroup(semantics: .retransmission, ssrcs: source.sources.map(\.ssrc))])
    }

    @Test func `the meeting in the path wins over the one in the body`() throws {
        #expect(try ConferenceModify(json: .object([:]), meetingID: "p").meetingID == "p")
        #expect(try ConferenceModify(json: .object(["meeting-id": "b"]), meetingID: "p").meetingID == "p")
    }

    @Test func `absent sources differ from none`() throws {
        func sources(_ children: [XMLElement]) throws -> [MediaSource]? {
            try ConferenceModify(xml: Sample.modify(Sample.endpoint(children))).endpoints.first?.sources
        }
        #expect(try sources([]) == nil)
        #expect(try sources([XMLElement("sources", namespace: XMLNamespace.colibri2)]) == [])
        #expect(try sources([XMLElement("sources", namespace: "other")]) == nil)
    }

    @Test func `force-mute without attributes unmutes`() throws {
        let mute = XMLElement("force-mute", namespace: XMLNamespace.colibri2)
        let endpoint = try ConferenceModify(xml: Sample.modify(Sample.endpoint([mute]))).endpoints.first
        #expect(endpoint?.forceMute == .init(audio: false, video: false))
    }

    @Test(arguments: [("true", true), ("TRUE", true), ("false", false), ("1", false), ("", false), ("yes", false)])
    func `booleans are true or anything else`(_ word: String, _ value: Bool) throws {
        var element = Sample.modify(Sample.endpoint([]))
        element["expire"] = word
        element["rtcstats-enabled"] = word
        let request = try ConferenceModify(xml: element)
        #expect(request.expire == value && request.rtcstatsEnabled == value)
    }

    @Test func `unknown elements and attributes are ignored everywhere`() throws {
        func decorated(_ element: XMLElement) -> XMLElement {
            var copy = element
            copy["callstats-enabled"] = "x"
            copy.children = copy.children.map(decorated)
            copy.append(XMLElement("traceparent", namespace: "jitsi:opentelemetry", ["trace_id": "1"]))
            copy.append(XMLElement("endpoint", namespace: "other"))
            return copy
        }
        for name in Self.captures {
            let element = try Fixture.payload(name)
            #expect(try ConferenceModify(xml: decorated(element)) == ConferenceModify(xml: element))
        }
    }

    /// What only a participant could have got wrong must not end the session of all of them.
    @Test func `odd parts of a transport are left out, not refused`() throws {
        var element = try Fixture.payload("conference-modify-candidates")
        let path = [0, 0, 0]
        func change(_ body: (inout XMLElement) -> Void) throws -> ICETransportDescription {
            var copy = element
            body(&copy.children[path[0]].children[path[1]].children[path[2]])
            return try #require(try ConferenceModify(xml: copy).endpoints.first?.transport?.ice)
        }
        let original = try change { _ in }
        let ufrag = try change { $0["ufrag"] = "a b" }
        #expect(ufrag.ufrag == nil && ufrag.pwd == original.pwd && ufrag.candidates == original.candidates)
        #expect(try change { $0["pwd"] = "short" }.pwd == nil)
        #expect(try change { $0["ice-generation"] = "x" }.generation == nil)
        for (attribute, value) in [
            ("ip", "a.local"), ("ip", ""), ("port", "65536"), ("priority", "-1"), ("type", "x"), ("protocol", "sctp"),
        ] {
            let changed = try change { transport in
                guard let index = transport.children.firstIndex(where: { $0.name == "candidate" }) else { return }
                transport.children[index][attribute] = value
            }
            #expect(changed.candidates == Array(original.candidates.dropFirst()), "\(attribute)=\(value)")
        }
        for (hash, setup, count) in [("md5", "active", 0), ("SHA-256", "holdconn", 1)] {
            let changed = try change { transport in
                guard let index = transport.children.firstIndex(where: { $0.name == "fingerprint" }) else { return }
                transport.children[index]["hash"] = hash
                transport.children[index]["setup"] = setup
            }
            #expect(changed.fingerprints.count == count && changed.fingerprints.first?.setup == nil)
        }
        element.children[0].children[0].children[0].children = []
        #expect(try ConferenceModify(xml: element).endpoints.first?.transport?.ice?.rtcpMux == false)
    }

    @Test func `media types without meaning and useless entries are left out`() throws {
        let media = XMLElement(
            "media", namespace: XMLNamespace.colibri2, ["type": "audio"],
            children: [
                XMLElement("payload-type", namespace: XMLNamespace.rtp, ["id": "128", "name": "x"]),
                XMLElement("payload-type", namespace: XMLNamespace.rtp, ["name": "x"]),
                XMLElement(
                    "payload-type", namespace: XMLNamespace.rtp, ["id": "0", "clockrate": "0", "channels": "0"],
                    children: [
                        XMLElement("parameter", namespace: XMLNamespace.rtp, ["value": "nameless"]),
                        XMLElement("parameter", namespace: XMLNamespace.colibri1, ["name": "old", "value": "1"]),
                        XMLElement("rtcp-fb", namespace: XMLNamespace.rtcpFeedback),
                    ]),
                XMLElement("rtp-hdrext", namespace: XMLNamespace.headerExtension, ["id": "0", "uri": "u"]),
                XMLElement("rtp-hdrext", namespace: XMLNamespace.headerExtension, ["id": "256", "uri": "u"]),
                XMLElement("rtp-hdrext", namespace: XMLNamespace.headerExtension, ["id": "1"]),
            ])
        let application = XMLElement("media", namespace: XMLNamespace.colibri2, ["type": "application"])
        let endpoint = try ConferenceModify(xml: Sample.modify(Sample.endpoint([media, application]))).endpoints.first
        #expect(endpoint?.media.count == 1 && endpoint?.media.first?.headerExtensions.isEmpty == true)
        let id = try #require(PayloadType(rawValue: 0))
        #expect(
            endpoint?.media.first?.payloadTypes == [
                PayloadTypeDescription(
                    id: id, name: "", clockRate: 48_000, parameters: [.init(name: "old", value: "1")])
            ])
    }

    @Test func `groups that say nothing are left out`() throws {
        func group(_ semantics: String?, _ ssrcs: [String]) -> XMLElement {
            XMLElement(
                "ssrc-group", namespace: XMLNamespace.sourceAttributes, ["semantics": semantics],
                children: ssrcs.map { XMLElement("source", namespace: XMLNamespace.sourceAttributes, ["ssrc": $0]) })
        }
        let source = Sample.mediaSource([
            group("SIM", ["1"]), group("XYZ", ["1", "2"]), group(nil, ["1", "2"]), group("fec-fr", ["1", "2"]),
            XMLElement("source", namespace: XMLNamespace.sourceAttributes, ["name": "no ssrc"]),
        ])
        let endpoint = try ConferenceModify(xml: Sample.modify(Sample.endpoint([Sample.sources([source])]))).endpoints
            .first
        #expect(endpoint?.sources?.first?.groups.map(\.semantics) == [.forwardErrorCorrection])
        #expect(endpoint?.sources?.first?.sources.isEmpty == true)
    }
}

/// Small requests to change one thing in.
enum Sample {
    static func modify(_ endpoints: XMLElement...) -> XMLElement {
        XMLElement("conference-modify", namespace: XMLNamespace.colibri2, ["meeting-id": "m"], children: endpoints)
    }

    static func endpoint(_ children: [XMLElement], _ attributes: KeyValuePairs<String, String?> = ["id": "e"])
        -> XMLElement
    {
        XMLElement("endpoint", namespace: XMLNamespace.colibri2, attributes, children: children)
    }

    static func sources(_ children: [XMLElement]) -> XMLElement {
        XMLElement("sources", namespace: XMLNamespace.colibri2, children: children)
    }

    static func mediaSource(_ children: [XMLElement], id: String = "e-v0") -> XMLElement {
        XMLElement(
            "media-source", namespace: XMLNamespace.colibri2, ["type": "video", "id": id], children: children)
    }

    static func transport(_ children: [XMLElement] = []) -> XMLElement {
        XMLElement("transport", namespace: XMLNamespace.colibri2, children: children)
    }

    static func sctp(_ attributes: KeyValuePairs<String, String?>) -> XMLElement {
        XMLElement("sctp", namespace: XMLNamespace.colibri2, attributes)
    }

    /// The error that parsing throws.
    static func error(_ element: XMLElement) -> ColibriError? {
        do {
            _ = try ConferenceModify(xml: element)
            return nil
        } catch {
            return error
        }
    }
}
