// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a request says about one endpoint. Whatever is absent stays as it is.
public struct EndpointModify: Hashable, Sendable {
    /// Role in the chat room of the meeting.
    public enum MUCRole: String, Hashable, Sendable, CaseIterable {
        case moderator
        case participant
        /// Sees and hears only.
        case visitor
        case none
    }

    /// Media of the endpoint that the bridge shall drop.
    public struct ForceMute: Hashable, Sendable {
        public var audio: Bool
        public var video: Bool

        public init(audio: Bool, video: Bool) {
            self.audio = audio
            self.video = video
        }
    }

    /// Unique in the conference, at most 128 bytes.
    public var id: String
    public var create: Bool
    /// Wins over everything else.
    public var expire: Bool
    /// Name in statistics, cut at 128 bytes; read on create.
    public var statsID: String?
    /// Read on create.
    public var mucRole: MUCRole?
    public var media: [MediaDescription]
    public var transport: TransportModify?
    /// The full new set of sources; nil leaves it as it is, empty removes all.
    public var sources: [MediaSource]?
    /// Both flags at once; nil leaves them as they are.
    public var forceMute: ForceMute?
    /// See `Capability`; unknown ones are kept.
    public var capabilities: Set<String>
    /// How many videos the endpoint gets until it says itself, -1 for all.
    public var initialLastN: Int?

    public init(
        id: String, create: Bool = false, expire: Bool = false, statsID: String? = nil, mucRole: MUCRole? = nil,
        media: [MediaDescription] = [], transport: TransportModify? = nil, sources: [MediaSource]? = nil,
        forceMute: ForceMute? = nil, capabilities: Set<String> = [], initialLastN: Int? = nil
    ) {
        self.id = id
        self.create = create
        self.expire = expire
        self.statsID = statsID
        self.mucRole = mucRole
        self.media = media
        self.transport = transport
        self.sources = sources
        self.forceMute = forceMute
        self.capabilities = capabilities
        self.initialLastN = initialLastN
    }

    /// True if the request describes a session and not merely a mute or an expiry. Such an endpoint must be alone in
    /// its request.
    public var describesSession: Bool { create || !media.isEmpty || transport != nil || sources != nil }

    init(xml element: XMLElement) throws(ColibriError) {
        self.init(
            id: try element.identifier("id"), create: element.flag("create"), expire: element.flag("expire"),
            statsID: element["stats-id"].map { Self.shortened($0) })
        if let word = element["muc-role"] {
            guard let role = MUCRole(rawValue: word.lowercased()) else {
                throw .badRequest("Invalid muc-role of endpoint \(id)")
            }
            mucRole = role
        }

        let media = element.all("media", XMLNamespace.colibri2)
        try ColibriLimits.check(media.count, ColibriLimits.media, "media descriptions")
        for child in media {
            guard let description = try MediaDescription(xml: child) else { continue }
            self.media.append(description)
        }
        if let child = element.first("transport", XMLNamespace.colibri2) {
            transport = try TransportModify(xml: child)
        }
        if let child = element.first("sources", XMLNamespace.colibri2) {
            sources = try MediaSource.list(xml: child)
        }
        if let child = element.first("force-mute", XMLNamespace.colibri2) {
            forceMute = ForceMute(audio: child.flag("audio"), video: child.flag("video"))
        }

        let capabilities = element.all("capability", XMLNamespace.colibri2)
        try ColibriLimits.check(capabilities.count, ColibriLimits.capabilities, "capabilities")
        for child in capabilities {
            guard let name = try child.bounded("name", ColibriLimits.identifier) else { continue }
            self.capabilities.insert(name)
        }
        if let child = element.first("initial-last-n", XMLNamespace.colibri2) {
            guard let value = try child.integer("value", as: Int32.self) else {
                throw .badRequest("Missing value of <initial-last-n>")
            }
            initialLastN = max(Int(value), -1)
        }
        try check()
    }

    /// The rules that can be judged without knowing the conference.
    private func check() throws(ColibriError) {
        guard !expire else { return }
        if create && transport == nil { throw .badRequest("Creation of endpoint \(id) without <transport>") }
        if let sctp = transport?.sctp, create {
            if let role = sctp.role, role != .server {
                throw .notImplemented("The bridge is always the SCTP server of an endpoint")
            }
            if let port = sctp.port, port != 5000 { throw .badRequest("The SCTP port is always 5000") }
        }
    }

    private static func shortened(_ text: String) -> String {
        var shortened = ""
        var count = 0
        for character in text {
            count += character.utf8.count
            if count > ColibriLimits.identifier { break }
            shortened.append(character)
        }
        return shortened
    }
}

/// Names of the capabilities an endpoint can have.
public enum Capability {
    /// Understands source names; else the bridge talks to it about endpoints.
    public static let sourceNames = "source-names"
    /// A fixed set of SSRCs, mapped to changing sources.
    public static let ssrcRewriting = "ssrc-rewriting"
    /// Tells rewritten streams apart by MID; only with `ssrcRewriting`.
    public static let rtpMidDemux = "rtp-mid-demux"
    /// Can reach private addresses of the bridge.
    public static let privateAddressConnectivity = "private-address-connectivity"
}
