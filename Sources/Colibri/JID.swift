// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// An XMPP address, `local@domain/resource` (RFC 7622).
///
/// Local part and domain are folded to lower case when the address is made, so that equal addresses compare equal; the
/// resource keeps its case. Other steps of stringprep are left to the server, which is the authority on its own names.
public struct JID: Hashable, Sendable {
    /// Account or room; nil for the address of a server.
    public let local: String?
    public let domain: String
    /// Session of an account, or nick name of an occupant; nil in a bare address.
    public let resource: String?

    /// - Returns: nil if a part is empty, longer than 1023 bytes, or has a character that its place forbids.
    public init?(local: String? = nil, domain: String, resource: String? = nil) {
        guard Self.isValid(domain, forbidden: Self.forbiddenInDomain) else { return nil }
        if let local, !Self.isValid(local, forbidden: Self.forbiddenInLocal) { return nil }
        if let resource, !Self.isValid(resource, forbidden: "") { return nil }
        self.local = local?.lowercased()
        self.domain = domain.lowercased()
        self.resource = resource
    }

    /// Parses the text form: everything behind the first slash is the resource, everything before an at sign ahead of
    /// that the local part.
    public init?(_ text: String) {
        // Nothing longer can have valid parts; saves work on hostile input.
        guard text.utf8.count <= 3 * Self.maximumPartLength + 2 else { return nil }
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let names = halves[0].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        self.init(
            local: names.count == 2 ? String(names[0]) : nil, domain: String(names[names.count - 1]),
            resource: halves.count == 2 ? String(halves[1]) : nil)
    }

    private init(bare other: JID) {
        local = other.local
        domain = other.domain
        resource = nil
    }

    /// The address without resource.
    public var bare: JID { JID(bare: self) }

    /// This address with another resource; nil if that is not valid as one.
    public func with(resource: String) -> JID? { JID(local: local, domain: domain, resource: resource) }

    private static let maximumPartLength = 1023
    /// RFC 7622 section 3.3.1.
    private static let forbiddenInLocal = forbiddenInDomain + ":"
    /// What no host name and no IP literal has.
    private static let forbiddenInDomain = "\"&'/<>@"

    private static func isValid(_ part: String, forbidden: String) -> Bool {
        guard !part.isEmpty, part.utf8.count <= maximumPartLength else { return false }
        return part.unicodeScalars.allSatisfy { scalar in
            switch scalar.value {
            case 0x00...0x1F, 0x7F...0x9F: false
            // A nick name may have blanks.
            case 0x20: forbidden.isEmpty
            default: !forbidden.unicodeScalars.contains(scalar)
            }
        }
    }
}

extension JID: CustomStringConvertible {
    public var description: String {
        (local.map { $0 + "@" } ?? "") + domain + (resource.map { "/" + $0 } ?? "")
    }
}
