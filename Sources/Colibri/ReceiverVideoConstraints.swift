// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a client wants to receive. A partial update: what is nil keeps its previous value, lists and maps replace the
/// previous ones.
public struct ReceiverVideoConstraints: Hashable, Sendable {
    /// How many videos at most, -1 for all.
    public var lastN: Int?
    /// Names to prefer. Clients without the capability `source-names` mean endpoints by these and by the keys of
    /// `constraints`; the bridge channel of 2022 had other fields for that, which end up here, too.
    public var selectedSources: [String]?
    /// Names of what is shown large.
    public var onStageSources: [String]?
    /// For every source that is not in `constraints`.
    public var defaultConstraints: VideoConstraints?
    public var constraints: [String: VideoConstraints]?
    /// What the client believes to be its downlink in bit/s, -1 to take it back.
    public var assumedBandwidth: Int64?

    public init(
        lastN: Int? = nil, selectedSources: [String]? = nil, onStageSources: [String]? = nil,
        defaultConstraints: VideoConstraints? = nil, constraints: [String: VideoConstraints]? = nil,
        assumedBandwidth: Int64? = nil
    ) {
        self.lastN = lastN
        self.selectedSources = selectedSources
        self.onStageSources = onStageSources
        self.defaultConstraints = defaultConstraints
        self.constraints = constraints
        self.assumedBandwidth = assumedBandwidth
    }

    init(_ message: MessageFields) throws(BridgeChannelError) {
        self.init(
            lastN: try message.lastN(),
            selectedSources: try message.names("selectedSources", formerly: "selectedEndpoints"),
            onStageSources: try message.names("onStageSources", formerly: "onStageEndpoints"),
            assumedBandwidth: try message.integer("assumedBandwidthBps", -1...Int64.max))
        if let value = message.value("defaultConstraints") {
            defaultConstraints = try VideoConstraints(value, field: "defaultConstraints")
        }
        guard let map = message.value("constraints") else { return }
        guard let members = map.object?.members else { throw .invalidField("constraints") }
        guard members.count <= MessageFields.maximumNames else { throw .tooManyNames("constraints") }
        var constraints: [String: VideoConstraints] = [:]
        for member in members {
            guard member.key.utf8.count <= MessageFields.maximumNameLength else { throw .invalidField("constraints") }
            constraints[member.key] = try VideoConstraints(member.value, field: "constraints")
        }
        self.constraints = constraints
    }
}

/// The most that is wanted of a video; 0 in either field means nothing at all.
public struct VideoConstraints: Hashable, Sendable {
    /// Pixels, -1 for any.
    public var maxHeight: Int
    /// Frames per second, -1 for any.
    public var maxFrameRate: Double

    public init(maxHeight: Int, maxFrameRate: Double = -1) {
        self.maxHeight = maxHeight
        self.maxFrameRate = maxFrameRate
    }

    init(_ json: JSONValue, field: String) throws(BridgeChannelError) {
        guard let object = json.object else { throw .invalidField(field) }
        let fields = MessageFields(object)
        let frameRate = fields.value("maxFrameRate")
        guard let maxFrameRate = frameRate.map({ $0.double }) ?? -1, maxFrameRate >= -1 else {
            throw .invalidField(field)
        }
        self.init(
            maxHeight: Int(try fields.integer("maxHeight", -1...Int64(Int32.max)) ?? -1), maxFrameRate: maxFrameRate)
    }
}
