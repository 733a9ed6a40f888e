// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a server offers at the start of a stream (RFC 6120 section 4.3.2), as far as this client takes part.
struct XMPPStreamFeatures {
    enum TLSOffer {
        case absent
        case offered
        case required
    }

    let tls: TLSOffer
    let mechanisms: [String]
    let canBind: Bool

    /// - Returns: nil if the element is not `<stream:features/>`.
    init?(_ element: XMLElement) {
        guard element.matches("features", XMLNamespace.stream) else { return nil }
        let startTLS = element.first("starttls", XMLNamespace.tls)
        tls = startTLS.map { $0.first("required", XMLNamespace.tls) == nil ? .offered : .required } ?? .absent
        let sasl = element.first("mechanisms", XMLNamespace.sasl)
        mechanisms = sasl?.all("mechanism", XMLNamespace.sasl).map(\.text) ?? []
        canBind = element.first("bind", XMLNamespace.bind) != nil
    }
}
