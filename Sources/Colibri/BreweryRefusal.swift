// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Why a bridge is not, or no longer, in its brewery.
public enum BreweryRefusal: Hashable, Sendable {
    /// The room answered with an error; `conflict` means that another bridge has the name.
    case error(StanzaErrorCondition)
    case kicked
    case banned
    /// The room is gone.
    case destroyed
    /// Removed for another reason, for instance because the service stops.
    case removed
    /// No answer.
    case timeout

    /// Status codes (XEP-0045 section 15.6) that come with being put out.
    static let removalCodes: Set<String> = ["301", "307", "321", "322", "332", "333"]

    init(removalCodes codes: Set<String>, user: XMLElement?) {
        self =
            if user?.first("destroy", XMLNamespace.mucUser) != nil {
                .destroyed
            } else if codes.contains("301") {
                .banned
            } else if codes.contains("307") {
                .kicked
            } else {
                .removed
            }
    }
}

extension XMPPError {
    /// The condition of a stanza of type error; one that is not in the list counts as undefined.
    static func stanzaCondition(of stanza: XMLElement) -> StanzaErrorCondition {
        let error = stanza.first("error", XMLNamespace.client)
        let name = error?.children.first { $0.namespace == XMLNamespace.stanzas && $0.name != "text" }?.name
        return name.flatMap { StanzaErrorCondition(rawValue: $0) } ?? .undefinedCondition
    }
}
