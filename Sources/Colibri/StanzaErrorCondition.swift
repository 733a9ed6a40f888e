// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Defined stanza error conditions (RFC 6120 section 8.3.3): the element name of what went wrong.
public enum StanzaErrorCondition: String, Hashable, Sendable, CaseIterable {
    case badRequest = "bad-request"
    case conflict
    case featureNotImplemented = "feature-not-implemented"
    case forbidden
    case gone
    case internalServerError = "internal-server-error"
    case itemNotFound = "item-not-found"
    case jidMalformed = "jid-malformed"
    case notAcceptable = "not-acceptable"
    case notAllowed = "not-allowed"
    case notAuthorized = "not-authorized"
    case policyViolation = "policy-violation"
    case recipientUnavailable = "recipient-unavailable"
    case redirect
    case registrationRequired = "registration-required"
    case remoteServerNotFound = "remote-server-not-found"
    case remoteServerTimeout = "remote-server-timeout"
    case resourceConstraint = "resource-constraint"
    case serviceUnavailable = "service-unavailable"
    case subscriptionRequired = "subscription-required"
    case undefinedCondition = "undefined-condition"
    case unexpectedRequest = "unexpected-request"

    /// The `type` attribute that goes with the condition: what the sender may do about it.
    public var type: String {
        switch self {
        case .forbidden, .notAuthorized, .registrationRequired, .subscriptionRequired: "auth"
        case .badRequest, .jidMalformed, .notAcceptable, .policyViolation, .redirect, .undefinedCondition: "modify"
        case .recipientUnavailable, .remoteServerTimeout, .resourceConstraint, .unexpectedRequest: "wait"
        case .conflict, .featureNotImplemented, .gone, .internalServerError, .itemNotFound, .notAllowed,
            .remoteServerNotFound, .serviceUnavailable:
            "cancel"
        }
    }
}
