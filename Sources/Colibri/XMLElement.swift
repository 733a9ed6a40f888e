// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// An XML element as a plain value (Namespaces in XML 1.0): what the stream parser makes of a stanza and what the
/// writer prints.
public struct XMLElement: Hashable, Sendable {
    /// An attribute. `name` is the local name; the only prefixed attributes kept are those of the `xml:` prefix, with
    /// it.
    public struct Attribute: Hashable, Sendable {
        public var name: String
        public var value: String

        @inlinable
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Local name, without prefix.
    public var name: String
    /// Namespace URI; empty for "no namespace".
    public var namespace: String
    /// In document order. There are few of them, so look-up is a linear search.
    public var attributes: [Attribute]
    public var children: [XMLElement]
    /// All character data directly inside this element, concatenated. Its place among the children is not kept.
    public var text: String

    /// Builds an element; attributes whose value is nil are left out, so optional ones need no branch.
    public init(
        _ name: String, namespace: String, _ attributes: KeyValuePairs<String, String?> = [:],
        children: [XMLElement] = [], text: String = ""
    ) {
        self.name = name
        self.namespace = namespace
        self.attributes = attributes.compactMap { name, value in value.map { Attribute(name: name, value: $0) } }
        self.children = children
        self.text = text
    }

    /// Builds an element from attributes that already are an array.
    public init(
        name: String, namespace: String, attributes: [Attribute], children: [XMLElement] = [], text: String = ""
    ) {
        self.name = name
        self.namespace = namespace
        self.attributes = attributes
        self.children = children
        self.text = text
    }

    /// The value of the attribute. Setting nil removes it; a new one goes to the end.
    public subscript(attribute: String) -> String? {
        get { attributes.first { $0.name == attribute }?.value }
        set {
            let index = attributes.firstIndex { $0.name == attribute }
            switch (index, newValue) {
            case (let index?, let value?): attributes[index].value = value
            case (let index?, nil): attributes.remove(at: index)
            case (nil, let value?): attributes.append(Attribute(name: attribute, value: value))
            case (nil, nil): break
            }
        }
    }

    /// True if name and namespace are these.
    public func matches(_ name: String, _ namespace: String) -> Bool {
        self.name == name && self.namespace == namespace
    }

    /// The first child of that name in that namespace.
    public func first(_ name: String, _ namespace: String) -> XMLElement? {
        children.first { $0.matches(name, namespace) }
    }

    /// All children of that name in that namespace, in document order.
    public func all(_ name: String, _ namespace: String) -> [XMLElement] {
        children.filter { $0.matches(name, namespace) }
    }

    /// Adds a child at the end.
    public mutating func append(_ child: XMLElement) { children.append(child) }
}
