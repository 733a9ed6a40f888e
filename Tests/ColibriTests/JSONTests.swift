// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws(JSONError) -> JSONValue {
        try JSONValue(text: text)
    }

    @Test(
        arguments: [
            ("null", .null), (" true ", true), ("false\n", false), ("\"\"", ""), ("[]", .array([])),
            ("{}", .object([:])), ("[1,\t\"a\",\r\nnull]", .array([1, "a", .null])),
            ("{\"a\":{\"b\":[false]}}", .object(["a": .object(["b": .array([false])])])),
            ("0", 0), ("-0", 0), ("-12", -12), ("9223372036854775807", .integer(.max)),
            ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .number(9_223_372_036_854_775_808)),
            ("0.5", .number(0.5)), ("-1.25e2", .number(-125)), ("1E+2", .number(100)), ("2e-1", .number(0.2)),
            (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e4\u20AC""#, "ä€"),
            (#""\ud83d\ude00""#, "😀"), ("\"😀\"", "😀"), (#""\ud83d""#, "\u{FFFD}"), (#""\ude00x""#, "\u{FFFD}x"),
            (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""\ud83d\n""#, "\u{FFFD}\n"),
        ] as [(String, JSONValue)])
    func `reads every kind of value`(_ text: String, _ value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test(
        arguments: [
            "", " ", "nul", "True", "nulll", "1 2", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", "{\"a\"",
            "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{,}", "-", "+1", "01",
            "-01", ".5", "1.", "1.e1", "1e", "1e+", "0x1", "NaN", "Infinity", "'a'", "\"", "\"a", "\"\\", "\"\\x\"",
            "\"\\u12\"", "\"\\u12g4\"", "\"\\ud83d\\u12\"", "\"a\nb\"", "\"\u{0}\"", "\u{FEFF}1", "1\u{0}",
            "// c\n1", "{}{}",
        ])
    func `refuses what is not JSON`(_ text: String) {
        #expect {
            try parse(text)
        } throws: { error in
            if case .malformed = error as? JSONError { true } else { false }
        }
    }

    @Test func `refuses numbers that no Double can hold`() {
        #expect(throws: JSONError.numberOutOfRange(offset: 1)) { try parse("[1e999]") }
    }

    @Test func `refuses duplicate keys, however they are spelled`() {
        #expect(throws: JSONError.duplicateKey(offset: 10)) { try parse("{\"a\":1,\"a\":1}") }
        #expect(throws: JSONError.duplicateKey(offset: 15)) { try parse("{\"a\":1,\"\\u0061\":2}") }
        #expect(throws: Never.self) { try parse("{\"a\":{\"a\":{\"a\":1}}}") }
    }

    @Test(
        arguments: [
            [0x80], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE2, 0x82],
        ] as [[UInt8]])
    func `refuses strings that are not UTF-8`(_ bytes: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        let text = [quote] + bytes + [quote]
        #expect(throws: JSONError.invalidUTF8(offset: text.count)) { try JSONValue(bytes: text) }
    }

    @Test func `depth is limited to 16`() throws {
        let deep = String(repeating: "[", count: 16) + String(repeating: "]", count: 16)
        #expect(throws: Never.self) { try parse(deep) }
        #expect(throws: JSONError.tooDeep) { try parse("[" + deep + "]") }
        #expect(throws: JSONError.tooDeep) { try parse("{\"a\":" + deep + "}") }
        // Beside each other is not inside each other.
        #expect(throws: Never.self) { try parse("[" + String(repeating: "[[]],", count: 100) + "[]]") }
    }

    @Test func `size is limited to 64 kB`() throws {
        let text = "\"" + String(repeating: "a", count: 65_534) + "\""
        #expect(try parse(text).string?.count == 65_534)
        #expect(throws: JSONError.tooLarge) { try parse(text + " ") }
        let longer = Array((text + " ").utf8)
        #expect(throws: Never.self) { try JSONValue(parsing: longer.span, maximumSize: 65_537) }
    }

    @Test func `accessors never convert`() throws {
        let value = try parse(#"{"i":3,"e":3e0,"f":3.5,"s":"3","b":true,"big":1e300,"n":null}"#)
        #expect(value["i"]?.int64 == 3 && value["e"]?.int64 == 3 && value["i"]?.double == 3)
        #expect(value["f"]?.int64 == nil && value["f"]?.double == 3.5 && value["big"]?.int64 == nil)
        #expect(value["s"]?.int64 == nil && value["s"]?.double == nil && value["s"]?.bool == nil)
        #expect(value["b"]?.bool == true && value["b"]?.int64 == nil && value["i"]?.bool == nil)
        #expect(value["n"] == .null && value["x"] == nil && value["i"]?["x"] == nil && value["i"]?.array == nil)
    }

    @Test func `members keep their order, and equality ignores it`() throws {
        var object = try #require(try parse(#"{"b":1,"a":2}"#).object)
        #expect(JSONValue.object(object).description == #"{"b":1,"a":2}"#)
        #expect(try JSONValue.object(object) == parse(#"{"a":2,"b":1}"#))
        #expect(try JSONValue.object(object).hashValue == parse(#"{"a":2,"b":1}"#).hashValue)
        #expect(try JSONValue.object(object) != parse(#"{"a":2,"b":1,"c":1}"#))
        #expect(try JSONValue.object(object) != parse(#"{"a":2,"b":2}"#))
        object["b"] = nil
        object["c"] = "x"
        object["a"] = false
        #expect(JSONValue.object(object).description == #"{"a":false,"c":"x"}"#)
    }

    @Test func `writes what it reads`() throws {
        let text = #"{"a":[1,-2,0.5,1e+300,true,false,null,"\"\\\n\r\t\u0001\u001fä😀/"],"":{}}"#
        let value = try parse(text)
        #expect(value.description == text)
        #expect(JSONValue.array([.number(.infinity), .number(.nan)]).description == "[null,null]")
    }

    /// Whatever a client sends gives a value or an error; and what is accepted comes out again unchanged.
    @Test func `survives mutation`() throws {
        let seeds = [
            #"{"colibriClass":"A","l":[1,-2.5e3,"x\u00e4\ud83d\ude00"],"o":{"t":true,"f":false,"n":null}} "#,
            try Fixture.json("conference-modify-accept").description,
        ]
        var accepted = 0
        var refused = 0
        func check(_ bytes: [UInt8]) {
            do {
                let value = try JSONValue(bytes: bytes)
                let again = try JSONValue(bytes: value.serialized())
                #expect(again == value)
                accepted += 1
            } catch {
                refused += 1
            }
        }
        var generator = SeededGenerator(state: 7)
        for seed in seeds {
            let bytes = Array(seed.utf8)
            for length in 0..<bytes.count { check(Array(bytes[..<length])) }
            for index in bytes.indices {
                for mask: UInt8 in [0x01, 0x02, 0x10, 0x20, 0x80, 0xFF] {
                    var copy = bytes
                    copy[index] ^= mask
                    check(copy)
                }
            }
            for _ in 0..<500 {
                var copy = bytes
                for _ in 0..<Int.random(in: 1...8, using: &generator) {
                    let index = Int.random(in: 0..<copy.count, using: &generator)
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: copy[index] = UInt8.random(in: 0...255, using: &generator)
                    case 1: copy.remove(at: index)
                    default: copy.insert(copy[Int.random(in: 0..<copy.count, using: &generator)], at: index)
                    }
                }
                check(copy)
            }
        }
        #expect(accepted > 100 && refused > 1000)
    }
}
