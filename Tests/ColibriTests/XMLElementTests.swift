// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import Testing

@Suite struct XMLElementTests {
    @Test func `finds children by name and namespace`() {
        let element = XMLElement(
            "a", namespace: "x", ["one": "1", "two": nil, "three": "3"],
            children: [
                XMLElement("b", namespace: "y", text: "first"), XMLElement("b", namespace: "x", text: "second"),
                XMLElement("b", namespace: "x", text: "third"),
            ])
        #expect(element["one"] == "1" && element["two"] == nil && element.attributes.count == 2)
        #expect(element.first("b", "x")?.text == "second" && element.first("b", "z") == nil)
        #expect(element.all("b", "x").map(\.text) == ["second", "third"])
        #expect(element.matches("a", "x") && !element.matches("a", "y") && !element.matches("b", "x"))
    }

    @Test func `sets, replaces and removes attributes`() {
        var element = XMLElement("a", namespace: "")
        element["k"] = "1"
        element["l"] = "2"
        element["k"] = "3"
        element["m"] = nil
        #expect(element.attributes.map { $0.name + $0.value } == ["k3", "l2"])
        element["k"] = nil
        #expect(element.attributes.map(\.name) == ["l"])
    }

    @Test func `declares a namespace only where it changes`() {
        let element = XMLElement(
            "iq", namespace: "jabber:client", ["id": "1"],
            children: [
                XMLElement(
                    "q", namespace: "n", children: [XMLElement("i", namespace: "n"), XMLElement("j", namespace: "m")]),
                XMLElement("e", namespace: "jabber:client"),
            ])
        let inner = "<q xmlns=\"n\"><i/><j xmlns=\"m\"/></q><e/></iq>"
        #expect(element.description == "<iq xmlns=\"jabber:client\" id=\"1\">" + inner)
        #expect(
            String(decoding: element.serialized(parentNamespace: "jabber:client"), as: UTF8.self)
                == "<iq id=\"1\">" + inner)
    }

    @Test func `undeclares the namespace of the parent where there is none`() {
        let element = XMLElement("a", namespace: "n", children: [XMLElement("b", namespace: "")])
        #expect(element.description == "<a xmlns=\"n\"><b xmlns=\"\"/></a>")
    }

    @Test(
        arguments: [
            ("<>&\"'", "&lt;&gt;&amp;\"'", "&lt;&gt;&amp;&quot;&apos;"), ("]]>", "]]&gt;", "]]&gt;"),
            ("\t\r\n", "\t&#13;\n", "&#9;&#13;&#10;"), ("ä€😀", "ä€😀", "ä€😀"),
            ("\u{0}\u{1}\u{B}\u{1F}", "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}", "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"),
            ("\u{FFFE}\u{FFFF}", "\u{FFFD}\u{FFFD}", "\u{FFFD}\u{FFFD}"),
        ])
    func `escapes text and attributes`(_ raw: String, _ text: String, _ attribute: String) {
        let element = XMLElement("a", namespace: "", ["k": raw], text: raw)
        #expect(element.description.unicodeScalars.elementsEqual("<a k=\"\(attribute)\">\(text)</a>".unicodeScalars))
    }

    /// Attribute values that try to break out of their quotes, or text that tries to be markup, stay values and text.
    @Test func `the parser reads back what the writer wrote`() throws {
        var generator = SeededGenerator(state: 11)
        let words = ["a", "]]>", "<x/>", "\"/><evil a='", "&amp;", "&#0;", "\r\n\t", "ä", "😀", "'", " ", "--", "<!--"]
        let names = ["media", "source", "ssrc-group", "x_1", "ö"]
        func text() -> String {
            (0..<Int.random(in: 0...4, using: &generator)).map { _ in words.randomElement(using: &generator) ?? "" }
                .joined()
        }
        func element(_ depth: Int) -> XMLElement {
            var result = XMLElement(
                names.randomElement(using: &generator) ?? "a",
                namespace: ["jabber:client", "u&<\"n", "m"].randomElement(using: &generator) ?? "", text: text())
            for name in ["k", "l", "xml:lang"] where Bool.random(using: &generator) { result[name] = text() }
            guard depth < 4 else { return result }
            for _ in 0..<Int.random(in: 0...2, using: &generator) { result.append(element(depth + 1)) }
            return result
        }
        for _ in 0..<300 {
            var stanza = XMLElement("message", namespace: "jabber:client", ["id": text()], text: text())
            for _ in 0..<3 { stanza.append(element(0)) }
            let parsed = try Fixture.parse(stanza.serialized(parentNamespace: "jabber:client"))
            #expect(parsed == stanza)
        }
    }
}
