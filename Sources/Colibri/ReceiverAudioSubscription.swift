// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which audio sources a client wants to hear. Exclusion beats inclusion beats `all`; synthetic sources are heard only
/// when included.
public struct ReceiverAudioSubscription: Hashable, Sendable {
    public var all: Bool
    /// Source names.
    public var include: [String]
    public var exclude: [String]

    public init(all: Bool, include: [String] = [], exclude: [String] = []) {
        self.all = all
        self.include = include
        self.exclude = exclude
    }

    /// Reads both forms, the older of which has a `mode` and one `list`.
    init(_ message: MessageFields) throws(BridgeChannelError) {
        guard let mode = message.value("mode") else {
            self.init(
                all: try message.flag("all") ?? false, include: try message.names("include") ?? [],
                exclude: try message.names("exclude") ?? [])
            return
        }
        let list = try message.names("list") ?? []
        switch mode.string?.lowercased() {
        case "all": self.init(all: true)
        case "none": self.init(all: false)
        case "include": self.init(all: false, include: list)
        case "exclude": self.init(all: true, exclude: list)
        default: throw .invalidField("mode")
        }
    }
}
