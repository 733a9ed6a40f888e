// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Everything that can be set, from the environment variables of the jvb container (docker-jitsi-meet, 2019 to today).

import ICE
import Logging

/// How to reach one or more XMPP servers and what to be called there.
struct XMPPSettings: Sendable {
    var servers: [HostPort]
    /// Domain of the account: `to` of the stream.
    var domain: String
    var user: String
    var password: Secret
    /// Bare JID of the room in which bridges announce themselves.
    var brewery: String
    var nickname: String
    /// The container has always trusted any certificate; Prosody's is self-signed there.
    var verifiesCertificate: Bool
}

/// An address that endpoints are told although no interface has it.
struct AdvertisedAddress: Sendable, Hashable, CustomStringConvertible {
    var address: IPAddress
    /// Port to tell instead of the media port.
    var port: UInt16?

    var description: String { port.map { "\(address)#\($0)" } ?? "\(address)" }
}

/// The colibri WebSocket, off in today's deployments.
struct WebSocketSettings: Sendable {
    /// What clients put before `/colibri-ws`: host with an optional port.
    var domains: [String]
    var tls: Bool
    /// nil: the address by which this machine reaches others, which the reverse proxies of older deployments route by.
    var serverID: String?
    var listen: HostPort
}

struct Configuration: Sendable {
    enum Purpose: Sendable {
        /// A bridge of a Jitsi Meet deployment.
        case run
        /// The meeting page: no XMPP, REST on.
        case demo
    }

    /// nil: no XMPP at all.
    var xmpp: XMPPSettings?
    var mediaPort: UInt16
    /// Local addresses for media; empty: all.
    var bindAddresses: [IPAddress]
    var advertised: [AdvertisedAddress]
    var stunServers: [HostPort]
    var advertisesPrivateCandidates: Bool
    /// nil: one less than the cores this process may use, at least one.
    var mediaThreads: Int?
    var trustsBandwidthEstimate: Bool
    var sctpEnabled: Bool
    var restEnabled: Bool
    var shutdownRESTEnabled: Bool
    var privateHTTP: HostPort
    var webSocket: WebSocketSettings?
    /// What stat, disco and /about/version say; Jicofo keeps a conference on bridges with equal versions.
    var version: String
    var logLevel: Logger.Level
    var logsAddresses: Bool
    var logFile: String?
    /// Folder for decrypted packets of all endpoints; nil: nothing is recorded.
    var rtpDumpFolder: String?

    /// Every value in force, for `jvbd config`.
    private(set) var settings: [Setting]
    /// Variables that were set and have no effect, with the reason.
    private(set) var ignored: [(name: String, reason: String)]
    /// What stops the start.
    private(set) var problems: [ConfigurationProblem]

    /// - Parameter environment: as the process got it. Empty values count as unset.
    init(environment: [String: String], purpose: Purpose = .run) {
        var reader = ConfigurationReader(environment: environment)
        let disabled = reader.flag("JVB_DISABLE_XMPP", default: purpose == .demo) || purpose == .demo
        xmpp = Configuration.xmpp(from: &reader, enabled: !disabled)

        mediaPort = UInt16(reader.number("JVB_PORT", in: 1...65535, default: 10000))
        bindAddresses = reader.list(
            "JVB_BIND_ADDRESS", default: [], wanted: "IP addresses of this machine, separated by commas",
            show: { "\($0)" }, parse: { IPAddress($0) })
        advertised = Configuration.advertised(from: &reader)
        let stunOff = reader.flag("JVB_DISABLE_STUN", default: purpose == .demo)
        stunServers = reader.list(
            "JVB_STUN_SERVERS",
            default: stunOff ? [] : [HostPort(host: "meet-jit-si-turnrelay.jitsi.net", port: 443)],
            wanted: "host:port, several separated by commas", show: { "\($0)" },
            parse: { HostPort($0, defaultPort: 3478) })
        if stunOff { stunServers = [] }
        advertisesPrivateCandidates = reader.flag("JVB_ADVERTISE_PRIVATE_CANDIDATES", default: true)
        let threads = reader.number("JVB_MEDIA_THREADS", in: 0...255, default: 0)
        mediaThreads = threads == 0 ? nil : threads
        trustsBandwidthEstimate = reader.flag("JVB_CC_TRUST_BWE", default: true)
        sctpEnabled = reader.flag("ENABLE_SCTP", default: true)

        restEnabled = reader.flag("COLIBRI_REST_ENABLED", default: disabled)
        shutdownRESTEnabled = reader.flag("SHUTDOWN_REST_ENABLED", default: false)
        privateHTTP = HostPort(
            host: reader.value(
                "JVB_COLIBRI_HOST", default: "127.0.0.1", wanted: "an IP address to listen on", show: { $0 },
                parse: { IPAddress($0) == nil ? nil : $0 }),
            port: reader.number("JVB_COLIBRI_PORT", in: 1...65535, default: 8080))
        webSocket = Configuration.webSocket(from: &reader)

        version = reader.text("JVB_ANNOUNCED_VERSION", default: Version.string)
        logLevel = reader.value(
            "JVB_LOG_LEVEL", default: .info, wanted: "one of trace, debug, info, notice, warning, error, critical",
            show: { $0.rawValue }, parse: { Logger.Level(rawValue: $0.lowercased()) })
        logsAddresses = reader.flag("JVB_LOG_ADDRESSES", default: false)
        logFile = reader.optionalText("JVB_LOG_FILE")
        rtpDumpFolder = reader.optionalText("JVB_DEBUG_RTP_DUMP")
        _ = reader.optionalText("TZ")

        settings = reader.settings
        problems = reader.problems
        ignored = ForeignVariables.ignored(in: environment, known: reader.known)
    }

    private static func xmpp(from reader: inout ConfigurationReader, enabled: Bool) -> XMPPSettings? {
        let separate = reader.flag("ENABLE_JVB_XMPP_SERVER", default: false)
        let prefix = separate ? "JVB_XMPP_" : "XMPP_"
        let port = reader.number(prefix + "PORT", in: 1...65535, default: separate ? 6222 : 5222)
        let servers = reader.list(
            prefix + "SERVER",
            default: [HostPort(host: separate ? "xmpp.jvb.meet.jitsi" : "xmpp.meet.jitsi", port: port)],
            wanted: "host or host:port, several separated by commas", show: { "\($0)" },
            parse: { HostPort($0, defaultPort: port) })
        let domain = reader.text(prefix + "AUTH_DOMAIN", default: separate ? "auth.jvb.meet.jitsi" : "auth.meet.jitsi")
        let rooms = reader.text(
            prefix + "INTERNAL_MUC_DOMAIN", default: separate ? "muc.jvb.meet.jitsi" : "internal-muc.meet.jitsi")
        let user = reader.text("JVB_AUTH_USER", default: "jvb")
        let password = reader.secret("JVB_AUTH_PASSWORD")
        let brewery = reader.text("JVB_BREWERY_MUC", default: "jvbbrewery")
        let host = reader.raw("HOSTNAME")
        let nickname = reader.text("JVB_MUC_NICKNAME", default: host ?? "jvbd")
        let verifies = reader.flag("JVB_XMPP_VERIFY_CERTIFICATE", default: false)
        guard enabled else { return nil }
        guard let password else {
            reader.complain(
                "JVB_AUTH_PASSWORD", "not set",
                "set it to the password of the XMPP account \(user)@\(domain), or set JVB_DISABLE_XMPP=1")
            return nil
        }
        return XMPPSettings(
            servers: servers, domain: domain, user: user, password: password,
            brewery: brewery.contains("@") ? brewery : "\(brewery)@\(rooms)", nickname: nickname,
            verifiesCertificate: verifies)
    }

    private static func advertised(from reader: inout ConfigurationReader) -> [AdvertisedAddress] {
        let wanted = "IP addresses, each with an optional #port, separated by commas"
        func parse(_ text: String) -> AdvertisedAddress? {
            let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            guard let address = IPAddress(String(parts[0])) else { return nil }
            if parts.count == 1 { return AdvertisedAddress(address: address) }
            guard let port = UInt16(parts[1]), port > 0 else { return nil }
            return AdvertisedAddress(address: address, port: port)
        }
        let today = reader.list(
            "JVB_ADVERTISE_IPS", default: [], wanted: wanted, show: { "\($0)" }, parse: parse)
        let old = reader.list(
            "DOCKER_HOST_ADDRESS", default: [], wanted: wanted, show: { "\($0)" }, parse: parse)
        return today.isEmpty ? old : today
    }

    private static func webSocket(from reader: inout ConfigurationReader) -> WebSocketSettings? {
        let enabled = reader.flag("ENABLE_COLIBRI_WEBSOCKET", default: false)
        let page = reader.optional(
            "PUBLIC_URL", default: nil, wanted: "the address of the web page, as in https://meet.example.com",
            parse: { Configuration.host(ofURL: $0) })
        let domains = reader.list(
            "JVB_WS_DOMAIN", default: page.map { [$0] } ?? [], wanted: "host or host:port", show: { $0 },
            parse: { HostPort($0, defaultPort: 443) == nil ? nil : $0 })
        let serverID = reader.optional(
            "JVB_WS_SERVER_ID", default: nil, wanted: "letters, digits, '-', '.' and '_'",
            parse: { text in
                text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) } ? text : nil
            })
        let tls = reader.flag("JVB_WS_TLS", default: true)
        let port = reader.number("JVB_WS_PORT", in: 1...65535, default: 9090)
        guard enabled else { return nil }
        guard !domains.isEmpty else {
            reader.complain(
                "ENABLE_COLIBRI_WEBSOCKET", "on, but no domain for its URLs is known",
                "set JVB_WS_DOMAIN to the host that clients connect to, or PUBLIC_URL")
            return nil
        }
        return WebSocketSettings(
            domains: domains, tls: tls, serverID: serverID, listen: HostPort(host: "0.0.0.0", port: port))
    }

    /// `host` or `host:port` of a web address; a bare host is taken as it is.
    private static func host(ofURL text: String) -> String? {
        var rest = text[...]
        for scheme in ["https://", "http://"] where rest.lowercased().hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
        }
        let host = String(rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" })
        return HostPort(host, defaultPort: 443) == nil ? nil : host
    }
}

extension Configuration {
    /// The table of `jvbd config`: value and origin of every setting, then what was ignored, then what is wrong.
    var report: String {
        let width = settings.map(\.name.count).max() ?? 0
        let valueWidth = settings.map(\.value.count).max() ?? 0
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        var lines = settings.sorted { $0.name < $1.name }.map {
            let value = $0.value.isEmpty ? "-" : $0.value
            return "\(padded($0.name, width))  \(padded(value, min(valueWidth, 60)))  \($0.origin.rawValue)"
        }
        if !ignored.isEmpty {
            lines += ["", "Set, but without effect:"] + ignored.map { "\($0.name): \($0.reason)" }
        }
        if !problems.isEmpty {
            lines += ["", "Wrong:"] + problems.map(\.description)
        }
        return lines.joined(separator: "\n")
    }
}
