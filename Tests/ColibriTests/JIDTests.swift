// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Colibri

/// XMPP addresses: their parts, what they may be made of, and when two are the same.
@Suite struct JIDTests {
    static let valid: [(String, String?, String, String?)] = [
        ("meet.lab", nil, "meet.lab", nil),
        ("a@b", "a", "b", nil),
        ("a@b/c", "a", "b", "c"),
        ("b/c", nil, "b", "c"),
        ("A@B.Example/Nick Name", "a", "b.example", "Nick Name"),
        ("a@b/c/d@e", "a", "b", "c/d@e"),
        ("b/a@c", nil, "b", "a@c"),
        ("room%20name@conference.meet.lab", "room%20name", "conference.meet.lab", nil),
        ("a@[2001:db8::1]", "a", "[2001:db8::1]", nil),
        ("\u{FC}@b", "\u{FC}", "b", nil),
    ]

    @Test(arguments: valid)
    func parses(_ text: String, _ local: String?, _ domain: String, _ resource: String?) throws {
        let jid = try #require(JID(text))
        #expect(jid.local == local)
        #expect(jid.domain == domain)
        #expect(jid.resource == resource)
        #expect(JID(jid.description) == jid)
    }

    @Test(arguments: [
        "", "@", "/", "a@", "@b", "a@/c", "a@b/", "a@b@c", "a b@c", "a@b c", "a<@b", "a@b'", "a:b@c", "a@b/\u{0}",
        "a\n@b",
        "a@b/\u{301}\u{1}", "a\u{85}@b",
    ])
    func refuses(_ text: String) {
        #expect(JID(text) == nil)
    }

    @Test func limitsEachPart() {
        let long = String(repeating: "x", count: 1023)
        #expect(JID("\(long)@\(long)/\(long)") != nil)
        #expect(JID("\(long)x@b") == nil)
        #expect(JID("a@\(long)x") == nil)
        #expect(JID("a@b/\(long)x") == nil)
        #expect(JID(String(repeating: "x", count: 1_000_000)) == nil)
    }

    @Test func comparesWithoutCaseExceptTheResource() {
        #expect(JID("Room@MUC.lab/a") == JID("room@muc.lab/a"))
        #expect(JID("room@muc.lab/a") != JID("room@muc.lab/A"))
        #expect(JID("Room@MUC.lab/a")?.bare == JID("room@muc.lab"))
        #expect(JID("room@muc.lab/a")?.with(resource: "b") == JID("room@muc.lab/b"))
        #expect(JID("room@muc.lab/a")?.with(resource: "") == nil)
    }
}
