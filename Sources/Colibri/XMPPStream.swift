// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// What the owner of the connection has to do, in order.
public enum XMPPAction: Hashable, Sendable {
    /// Write these bytes to the connection.
    case send([UInt8])
    /// Start TLS as client on this connection, then call `secured`. What is received meanwhile belongs to TLS.
    case startTLS
    /// Logged in under this address; stanzas may be sent.
    case ready(JID)
    /// A stanza for the bridge.
    case stanza(XMLElement)
    /// The stream was closed in order; close the connection.
    case closed
    /// Close the connection; nothing more comes of this stream.
    case failed(XMPPError)
}

/// An XMPP client stream (RFC 6120) on one connection, from its first byte to its last: STARTTLS, SASL, resource
/// binding, initial presence, then stanzas both ways, with pings to see that the server is still there (XEP-0199).
///
/// It does no input or output: bytes and time go in, actions come out. A new connection needs a new stream.
public final class XMPPStream {
    private enum Step {
        case idle
        case opening
        case features
        case proceed
        case handshake
        case authenticating(SASLExchange)
        case binding(id: String)
        case ready
        /// Our closing tag is out.
        case closing(until: Instant)
        case ended
    }

    private let configuration: XMPPStreamConfiguration
    private let nonce: String
    private let identifierPrefix: String
    private var step = Step.idle
    private var parser: XMLParser
    private var lastIdentifier = 0
    private var loginDeadline: Instant?
    private var nextPing: Instant?
    private var ping: (id: String, deadline: Instant)?

    /// True once TLS is up.
    public private(set) var isSecure = false
    private var isAuthenticated = false
    /// Our full address, from `ready` on.
    public private(set) var address: JID?
    /// Stanzas received since the last restart of the stream, as XEP-0198 counts them.
    public private(set) var inboundStanzas: UInt32 = 0
    /// Stanzas sent since the last restart of the stream, as XEP-0198 counts them.
    public private(set) var outboundStanzas: UInt32 = 0

    /// - Parameter random: source of the SCRAM nonce and of the identifiers.
    public init(_ configuration: XMPPStreamConfiguration, random: inout some RandomNumberGenerator) {
        self.configuration = configuration
        let bytes = (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        nonce = SASLBase64.encode(bytes)
        identifierPrefix = String(UInt32.random(in: .min ... .max, using: &random), radix: 36) + "-"
        parser = XMLParser(limits: configuration.limits)
    }

    /// True between `ready` and the end.
    public var isReady: Bool {
        if case .ready = step { true } else { false }
    }

    /// When `tick` must be called next.
    public var deadline: Instant? {
        if case .closing(let until) = step { return until }
        return [loginDeadline, ping?.deadline, nextPing].compactMap(\.self).min()
    }

    /// The connection is there. Call it once, first.
    public func connected(now: Instant) -> [XMPPAction] {
        guard case .idle = step else { return [] }
        loginDeadline = now + configuration.loginTimeout
        return open()
    }

    /// Bytes from the server; after TLS is up, decrypted ones.
    public func receive(_ bytes: Span<UInt8>, now: Instant) -> [XMPPAction] {
        switch step {
        case .ended: return []
        case .idle, .handshake: return bytes.isEmpty ? [] : fail(.unexpectedBytes)
        default: break
        }
        var actions: [XMPPAction] = []
        let current = parser
        for output in current.feed(bytes) {
            switch output.event {
            case .streamOpened(let header): actions += opened(header)
            case .stanza(let element):
                let isLast = output.trailing == 0
                let isLastText = isLast || Self.isWhiteSpace(bytes, last: output.trailing)
                actions += received(element, isLast: isLast, isLastText: isLastText, now: now)
            case .streamClosed:
                actions += end(with: .closed)
            case .failed(let error):
                actions += fail(.xml(error))
            }
            // A restart has replaced the parser: what the old one still holds is white space.
            if case .ended = step { break }
            if parser !== current { break }
        }
        return actions
    }

    /// TLS is up and the certificate is accepted.
    public func secured(now: Instant) -> [XMPPAction] {
        guard case .handshake = step else { return [] }
        isSecure = true
        return open()
    }

    /// Prints a stanza for the connection. Before `ready` and after the end it is dropped: whoever needs it sends it
    /// again on the next stream.
    public func send(_ stanza: XMLElement) -> [XMPPAction] {
        guard case .ready = step else { return [] }
        return [transmit(stanza)]
    }

    /// Time has passed.
    public func tick(now: Instant) -> [XMPPAction] {
        if case .closing(let until) = step { return now >= until ? end(with: .closed) : [] }
        if let loginDeadline, now >= loginDeadline { return fail(.loginTimeout) }
        if let ping, now >= ping.deadline { return fail(.pingTimeout) }
        guard let due = nextPing, now >= due, case .ready = step else { return [] }
        let id = nextIdentifier()
        nextPing = now + configuration.pingInterval
        ping = (id, now + configuration.pingTimeout)
        let request = XMLElement(
            "iq", namespace: XMLNamespace.client,
            ["type": "get", "id": id, "to": configuration.domain.domain],
            children: [XMLElement("ping", namespace: XMLNamespace.ping)])
        return [transmit(request)]
    }

    /// Closes the stream in order; `closed` follows when the server has done the same, or did not in time.
    public func close(now: Instant) -> [XMPPAction] {
        switch step {
        case .ended, .closing: return []
        case .idle, .handshake: return end(with: .closed, isAnswered: false)
        default:
            clearTimers()
            step = .closing(until: now + configuration.closeTimeout)
            return [.send(Self.closingTag)]
        }
    }
}

// MARK: - Steps

extension XMPPStream {
    private static let closingTag = Array("</stream:stream>".utf8)

    private func open() -> [XMPPAction] {
        step = .opening
        parser = XMLParser(limits: configuration.limits)
        inboundStanzas = 0
        outboundStanzas = 0
        // The name is one that `JID` accepts, which has no character to escape.
        let header =
            "<?xml version='1.0'?><stream:stream to='\(configuration.domain.domain)' version='1.0' xml:lang='en' "
            + "xmlns='\(XMLNamespace.client)' xmlns:stream='\(XMLNamespace.stream)'>"
        return [.send(Array(header.utf8))]
    }

    private func opened(_ header: XMLElement) -> [XMPPAction] {
        if case .closing = step { return [] }
        guard case .opening = step, header.matches("stream", XMLNamespace.stream),
            let version = header["version"], version.split(separator: ".").first == "1"
        else { return fail(.notAStream) }
        step = .features
        return []
    }

    private func received(
        _ element: XMLElement, isLast: Bool, isLastText: Bool, now: Instant
    ) -> [XMPPAction] {
        if element.matches("error", XMLNamespace.stream) {
            return fail(.streamError(condition: XMPPError.condition(of: element, in: XMLNamespace.streamErrors)))
        }
        switch step {
        case .features:
            guard let features = XMPPStreamFeatures(element) else { return unexpected(element) }
            return negotiate(features)
        case .proceed:
            if element.matches("failure", XMLNamespace.tls) { return fail(.tlsRefused) }
            guard element.matches("proceed", XMLNamespace.tls) else { return unexpected(element) }
            guard isLast else { return fail(.unexpectedBytes) }
            step = .handshake
            return [.startTLS]
        case .authenticating(let exchange):
            return authenticate(exchange, element, isLastText: isLastText)
        case .binding(let id):
            return bind(element, id: id, now: now)
        case .ready:
            return deliver(element)
        case .closing:
            // What the server sent before it saw our closing tag.
            if Self.isStanza(element) { inboundStanzas &+= 1 }
            return []
        case .idle, .opening, .handshake, .ended:
            return unexpected(element)
        }
    }

    private func negotiate(_ features: XMPPStreamFeatures) -> [XMPPAction] {
        if !isSecure {
            switch (configuration.security, features.tls) {
            case (.required, .absent): return fail(.tlsNotOffered)
            case (.disabled, .required): return fail(.tlsRequiredByServer)
            case (.required, _), (.ifPossible, .offered), (.ifPossible, .required):
                step = .proceed
                return [.send(XMLElement("starttls", namespace: XMLNamespace.tls).serialized())]
            case (.ifPossible, .absent), (.disabled, _): break
            }
        }
        if !isAuthenticated {
            do throws(SASLError) {
                let exchange = try SASLExchange(
                    offered: features.mechanisms, isSecure: isSecure, credentials: configuration.credentials,
                    nonce: nonce)
                step = .authenticating(exchange)
                return [sasl("auth", ["mechanism": exchange.mechanism.rawValue], exchange.initialResponse)]
            } catch {
                return fail(.sasl(error))
            }
        }
        guard features.canBind else { return fail(.bindFailed(condition: "not-offered")) }
        let id = nextIdentifier()
        step = .binding(id: id)
        // No resource is asked for: several bridges share one account, and the server makes it unique.
        let request = XMLElement(
            "iq", namespace: XMLNamespace.client, ["type": "set", "id": id],
            children: [XMLElement("bind", namespace: XMLNamespace.bind)])
        return [transmit(request)]
    }

    private func authenticate(
        _ exchange: SASLExchange, _ element: XMLElement, isLastText: Bool
    ) -> [XMPPAction] {
        guard element.namespace == XMLNamespace.sasl else { return unexpected(element) }
        var exchange = exchange
        do throws(SASLError) {
            switch element.name {
            case "challenge":
                let response = try exchange.respond(to: element.text)
                step = .authenticating(exchange)
                return [sasl("response", [:], response)]
            case "success":
                try exchange.succeed(with: element.text)
                guard isLastText else { return fail(.unexpectedBytes) }
                isAuthenticated = true
                return open()
            case "failure":
                let condition = XMPPError.condition(of: element, in: XMLNamespace.sasl)
                return fail(.authenticationFailed(condition: condition))
            default:
                return unexpected(element)
            }
        } catch {
            return fail(.sasl(error))
        }
    }

    private func bind(_ element: XMLElement, id: String, now: Instant) -> [XMPPAction] {
        guard element.matches("iq", XMLNamespace.client), element["id"] == id else { return unexpected(element) }
        inboundStanzas &+= 1
        guard element["type"] == "result" else {
            let error = element.first("error", XMLNamespace.client) ?? element
            return fail(.bindFailed(condition: XMPPError.condition(of: error, in: XMLNamespace.stanzas)))
        }
        let text = element.first("bind", XMLNamespace.bind)?.first("jid", XMLNamespace.bind)?.text
        guard let address = text.flatMap({ JID($0) }), address.resource != nil else {
            return fail(.bindFailed(condition: "jid-malformed"))
        }
        self.address = address
        step = .ready
        loginDeadline = nil
        nextPing = now + configuration.pingInterval
        return [transmit(XMLElement("presence", namespace: XMLNamespace.client)), .ready(address)]
    }

    private func deliver(_ element: XMLElement) -> [XMPPAction] {
        // Elements that are not stanzas belong to extensions that this client did not ask for.
        guard Self.isStanza(element) else { return [] }
        inboundStanzas &+= 1
        guard element.name == "iq" else { return [.stanza(element)] }
        let type = element["type"]
        if let ping, element["id"] == ping.id, type == "result" || type == "error", isFromServer(element) {
            // An error is an answer, too: the server is there, it just does not know this extension.
            self.ping = nil
            return []
        }
        if type == "get", element.first("ping", XMLNamespace.ping) != nil, isFromServer(element),
            let reply = IQRequest(element)?.result()
        {
            return [transmit(reply)]
        }
        return [.stanza(element)]
    }

    /// A stanza of the server itself has no sender, or the server's name, or the account's.
    private func isFromServer(_ element: XMLElement) -> Bool {
        guard let text = element["from"] else { return true }
        guard let from = JID(text) else { return false }
        if let address, from == address.bare { return true }
        return from.local == nil && from.resource == nil && from.domain == configuration.domain.domain
    }

    private func unexpected(_ element: XMLElement) -> [XMPPAction] {
        fail(.unexpectedElement(String(element.name.prefix(64))))
    }

    private func fail(_ error: XMPPError) -> [XMPPAction] { end(with: .failed(error)) }

    private func end(with last: XMPPAction, isAnswered: Bool = true) -> [XMPPAction] {
        var actions: [XMPPAction] = []
        switch step {
        case .ended: return []
        case .idle, .handshake, .closing: break
        default: if isAnswered { actions.append(.send(Self.closingTag)) }
        }
        step = .ended
        clearTimers()
        actions.append(last)
        return actions
    }

    private func clearTimers() {
        loginDeadline = nil
        nextPing = nil
        ping = nil
    }

    // MARK: Printing

    private func nextIdentifier() -> String {
        lastIdentifier &+= 1
        return identifierPrefix + String(lastIdentifier, radix: 36)
    }

    private func transmit(_ stanza: XMLElement) -> XMPPAction {
        outboundStanzas &+= 1
        return .send(stanza.serialized(parentNamespace: XMLNamespace.client))
    }

    private func sasl(_ name: String, _ attributes: KeyValuePairs<String, String?>, _ text: String) -> XMPPAction {
        let element = XMLElement(name, namespace: XMLNamespace.sasl, attributes, text: text)
        return .send(element.serialized(parentNamespace: XMLNamespace.client))
    }

    private static func isStanza(_ element: XMLElement) -> Bool {
        element.namespace == XMLNamespace.client && ["iq", "presence", "message"].contains(element.name)
    }

    private static func isWhiteSpace(_ bytes: Span<UInt8>, last count: Int) -> Bool {
        for index in max(0, bytes.count - count)..<bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: continue
            default: return false
            }
        }
        return true
    }
}
