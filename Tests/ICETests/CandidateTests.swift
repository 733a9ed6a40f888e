// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import ICE

@Suite struct CandidateTests {
    static let fields = [
        "foundation": "1", "component": "1", "protocol": "udp", "priority": "2130706431", "ip": "198.51.100.7",
        "port": "10000",
        "type": "srflx", "rel-addr": "172.18.0.5", "rel-port": "10001", "generation": "2", "id": "c1", "network": "3",
    ]

    @Test func attributesAreRead() throws {
        let candidate = try Candidate { Self.fields[$0] }
        #expect(candidate.foundation == "1")
        #expect(candidate.component == 1)
        #expect(candidate.transport == .udp)
        #expect(candidate.priority == 2_130_706_431)
        #expect(candidate.address == (try address("198.51.100.7", 10000)))
        #expect(candidate.kind == .serverReflexive)
        #expect(candidate.related == (try address("172.18.0.5", 10001)))
        #expect(candidate.generation == 2)
        #expect(candidate.id == "c1")
        #expect(candidate.network == 3)
        #expect(candidate.tcpType == nil)
    }

    @Test(arguments: [
        ("foundation", nil, CandidateError.malformed("foundation")), ("foundation", "", .malformed("foundation")),
        ("component", "0", .malformed("component")), ("component", "257", .malformed("component")),
        ("component", "x", .malformed("component")), ("protocol", "sctp", .malformed("protocol")),
        ("priority", "-1", .malformed("priority")), ("priority", "4294967296", .malformed("priority")),
        ("type", "best", .malformed("type")), ("port", "65536", .malformed("port")), ("ip", nil, .malformed("ip")),
        ("ip", "3f2a-77.local", .notLiteral), ("ip", "example.org", .notLiteral),
    ])
    func badAttributeIsNamed(attribute: String, value: String?, error: CandidateError) {
        #expect(throws: error) { try Candidate { $0 == attribute ? value : Self.fields[$0] } }
    }

    @Test func optionalAttributesMayBeMissingOrOdd() throws {
        let optional = ["rel-addr", "rel-port", "generation", "id", "network"]
        let bare = try Candidate { optional.contains($0) ? nil : Self.fields[$0] }
        #expect(bare.related == nil)
        #expect(bare.generation == 0)
        let tcp = try Candidate { $0 == "protocol" ? "TCP" : $0 == "tcptype" ? "passive" : Self.fields[$0] }
        #expect(tcp.transport == .tcp)
        #expect(tcp.tcpType == "passive")
    }

    @Test func priorityIsTheFormulaOfTheRFC() {
        // The priorities that a bridge with one address has always advertised.
        #expect(Candidate.priority(.host, localPreference: 65535) == 2_130_706_431)
        #expect(Candidate.priority(.serverReflexive, localPreference: 65535) == 1_694_498_815)
        #expect(Candidate.priority(.peerReflexive, localPreference: 65535) == 110 << 24 | 65535 << 8 | 255)
        #expect(Candidate.priority(.relayed, localPreference: 0, component: 256) == 0)
    }

    @Test func localPreferenceGoesByFamily() throws {
        #expect(Candidate.localPreference(of: .v4(1), isOnly: true) == 65535)
        #expect(Candidate.localPreference(of: .v4(1), isOnly: false) == 10)
        #expect(Candidate.localPreference(of: try address("fe80::1", 0).ip, isOnly: false) == 30)
        #expect(Candidate.localPreference(of: try address("2001:db8::1", 0).ip, isOnly: false) == 40)
    }

    @Test func pairPriorityIsTheSameFromBothSides() throws {
        let path = Path(socket: 0, local: .v4(1), remote: TransportAddress(ip: .v4(2), port: 3))
        func pair(_ local: UInt32, _ remote: UInt32) -> CandidatePair {
            CandidatePair(
                path: path, localPriority: local, reflexivePriority: 0, remotePriority: remote, isLearned: false)
        }
        #expect(pair(5, 9).priority(as: .controlling) == 5 << 32 + 18)
        #expect(pair(9, 5).priority(as: .controlled) == 5 << 32 + 18)
        #expect(pair(9, 5).priority(as: .controlling) == 5 << 32 + 19)
        // No priority from the wire may overflow.
        #expect(pair(.max, .max).priority(as: .controlling) > 0)
    }

    @Test func generatedCredentialsAreValidAndNameTheirShard() throws {
        var generator = SeededGenerator(seed: 8839)
        var seen: Set<String> = []
        for first in [UInt8(ascii: "a"), UInt8(ascii: "Z"), UInt8(ascii: "7")] {
            for _ in 0..<200 {
                let credentials = ICECredentials(firstCharacter: first, using: &generator)
                #expect(credentials.ufrag.firstCharacter == first)
                #expect(credentials.ufrag.rawValue.utf8.count == 12)
                #expect(credentials.pwd.rawValue.utf8.count == 26)
                #expect(seen.insert(credentials.ufrag.rawValue).inserted)
                #expect(seen.insert(credentials.pwd.rawValue).inserted)
            }
        }
        #expect(
            ICECredentials(firstCharacter: UInt8(ascii: ":"), using: &generator).ufrag.firstCharacter
                == UInt8(ascii: "a"))
    }

    @Test func credentialsAreCheckedAndPasswordsNotPrinted() throws {
        #expect(UsernameFragment(rawValue: "abc") == nil)
        #expect(UsernameFragment(rawValue: "ab:cd") == nil)
        #expect(UsernameFragment(rawValue: "ab cd") == nil)
        #expect(UsernameFragment(rawValue: "äöüß") == nil)
        #expect(UsernameFragment(rawValue: String(repeating: "a", count: 257)) == nil)
        #expect(UsernameFragment(rawValue: "A+/9")?.rawValue == "A+/9")
        #expect(ICEPassword(rawValue: String(repeating: "p", count: 21)) == nil)
        let password = try #require(ICEPassword(rawValue: "asecretasecretasecretasecret"))
        #expect("\(password)" == "redacted")
        #expect(String(reflecting: password) == "redacted")
        let fragment = try #require(UsernameFragment(rawValue: "abcd"))
        #expect(!String(reflecting: ICECredentials(ufrag: fragment, pwd: password)).contains("secret"))
    }
}
