// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import Testing

/// Requests with something missing or wrong anywhere give a value or an error, never a trap.
@Suite struct ConferenceModifyMutationTests {
    private static let odd = [
        "", " ", "-1", "0", "1.5", "65536", "4294967296", "99999999999999999999999", "true", "x", "\u{0}", "😀",
        String(repeating: "9", count: 3000),
    ]

    /// Calls `body` with every element that has one attribute or one child less, or one attribute of an odd value.
    private func variants(of element: XMLElement, _ body: (XMLElement) -> Void) {
        for index in element.attributes.indices {
            var copy = element
            copy.attributes.remove(at: index)
            body(copy)
            for value in Self.odd {
                copy = element
                copy.attributes[index].value = value
                body(copy)
            }
        }
        for index in element.children.indices {
            var copy = element
            copy.children.remove(at: index)
            body(copy)
            copy = element
            copy.children.insert(element.children[index], at: index)
            body(copy)
            variants(of: element.children[index]) { child in
                var copy = element
                copy.children[index] = child
                body(copy)
            }
        }
        if !element.text.isEmpty {
            for value in Self.odd {
                var copy = element
                copy.text = value
                body(copy)
            }
        }
    }

    @Test(arguments: ConferenceModifyTests.captures)
    func `every change of one thing is survived`(_ name: String) throws {
        let original = try Fixture.payload(name)
        var accepted = 0
        var refused = 0
        variants(of: original) { element in
            if let error = Sample.error(element) {
                #expect(!error.text.isEmpty)
                refused += 1
            } else {
                accepted += 1
            }
        }
        #expect(accepted > 10 && refused > 3)
    }

    @Test(arguments: ConferenceModifyTests.captures)
    func `random changes are survived`(_ name: String) throws {
        var generator = SeededGenerator(state: 3)
        func mutated(_ element: XMLElement) -> XMLElement {
            var copy = element
            copy.attributes.removeAll { _ in Int.random(in: 0..<20, using: &generator) == 0 }
            for index in copy.attributes.indices where Int.random(in: 0..<20, using: &generator) == 0 {
                copy.attributes[index].value = Self.odd.randomElement(using: &generator) ?? ""
            }
            copy.children.removeAll { _ in Int.random(in: 0..<20, using: &generator) == 0 }
            copy.children = copy.children.map(mutated)
            if Int.random(in: 0..<20, using: &generator) == 0 { copy.children.shuffle(using: &generator) }
            return copy
        }
        let original = try Fixture.payload(name)
        var outcomes: [Bool: Int] = [:]
        for _ in 0..<200 { outcomes[Sample.error(mutated(original)) == nil, default: 0] += 1 }
        #expect(outcomes[true, default: 0] > 0 && outcomes[false, default: 0] > 0)
    }

    @Test(arguments: ConferenceModifyTests.captures)
    func `random JSON is survived`(_ name: String) throws {
        var generator = SeededGenerator(state: 5)
        let values: [JSONValue] = [.null, true, -1, .number(1e300), "x", .array([]), .object([:]), .array([1, "x"])]
        func mutated(_ value: JSONValue) -> JSONValue {
            if Int.random(in: 0..<40, using: &generator) == 0 {
                return values.randomElement(using: &generator) ?? .null
            }
            switch value {
            case .array(let elements): return .array(elements.map(mutated))
            case .object(let object):
                return .object(JSONObject(object.members.map { .init(key: $0.key, value: mutated($0.value)) }))
            default: return value
            }
        }
        let original = try Fixture.json(name)
        var refused = 0
        for _ in 0..<200 {
            do {
                _ = try ConferenceModify(json: mutated(original))
            } catch {
                #expect(!error.text.isEmpty)
                refused += 1
            }
        }
        #expect(refused > 0 && refused < 200)
    }
}
