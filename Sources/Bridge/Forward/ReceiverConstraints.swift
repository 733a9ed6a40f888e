// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What one receiver asked for on the bridge channel, and what follows for each source (Jitsi: ReceiverVideoConstraints).

import Colibri

struct ReceiverConstraints {
    /// -1: no limit. Until a message came, JVB forwards no video at all.
    private(set) var lastN = -1
    /// Highest picture wanted of a source that is not named, in lines; -1: no limit.
    private(set) var defaultMaxHeight = 0
    private(set) var maxHeights: [String: Int] = [:]
    private(set) var selected: [String] = []
    private(set) var onStage: [String] = []
    /// The client has said what it wants; before that its silence is no wish to its senders.
    private(set) var isKnown = false

    /// - Parameter initialLastN: as signalled by COLIBRI, in force until the client says otherwise.
    init(initialLastN: Int? = nil) { lastN = initialLastN ?? -1 }

    /// Applies a partial update: what a message leaves out stays as it was.
    mutating func apply(_ message: ReceiverVideoConstraints) {
        if let value = message.defaultConstraints {
            defaultMaxHeight = value.effectiveHeight
        } else if !isKnown {
            defaultMaxHeight = 180
        }
        isKnown = true
        if let value = message.lastN { lastN = value }
        if let value = message.constraints { maxHeights = value.mapValues(\.effectiveHeight) }
        if let value = message.selectedSources { selected = value }
        if let value = message.onStageSources { onStage = value }
    }

    mutating func apply(lastN: Int) { self.lastN = lastN }

    /// Highest picture wanted of a source, in lines; -1: no limit; 0: none.
    func maxHeight(of source: String) -> Int { maxHeights[source] ?? defaultMaxHeight }

    /// The sources in the order in which they may be forwarded: on stage, selected, then the rest as given.
    func prioritized(_ sources: [String]) -> [String] {
        guard !(onStage.isEmpty && selected.isEmpty) else { return sources }
        var order: [String] = []
        order.reserveCapacity(sources.count)
        let present = Set(sources)
        var taken = Set<String>()
        for name in onStage + selected where present.contains(name) && taken.insert(name).inserted {
            order.append(name)
        }
        for name in sources where !taken.contains(name) { order.append(name) }
        return order
    }

    /// The height granted to each source after lastN, by name; sources that get nothing are 0.
    ///
    /// - Parameters:
    ///   - sources: names in speaker order.
    ///   - enabled: whether a source sends anything at all.
    func effectiveHeights(_ sources: [String], enabled: (String) -> Bool) -> [String: Int] {
        var heights: [String: Int] = [:]
        var left = lastN < 0 ? Int.max : lastN
        for name in prioritized(sources) {
            let height = enabled(name) && left > 0 ? maxHeight(of: name) : 0
            heights[name] = height
            if height != 0 { left -= 1 }
        }
        return heights
    }
}

extension VideoConstraints {
    /// maxFrameRate 0 means the same as maxHeight 0: do not send.
    var effectiveHeight: Int { maxFrameRate == 0 ? 0 : maxHeight }
}
