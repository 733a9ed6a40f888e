// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Who gets which encoding of whom: from the receivers' constraints to forwarders' targets, and back to the senders.

import Colibri
import RTP

extension Conference {
    /// Decides anew for every receiver and tells clients what changed.
    func allocate(now: Instant) {
        needsAllocation = false
        var wanted = [Int?](repeating: nil, count: sources.count)
        let order = speakers.order(endpoints)
        for receiver in endpoints { allocate(for: receiver, order: order, wanted: &wanted, now: now) }
        for source in sources {
            if let source, source.kind == .video { tellSender(of: source, height: wanted[source.index]) }
        }
    }

    private func allocate(for receiver: Endpoint, order: [Endpoint], wanted: inout [Int?], now: Instant) {
        let videos = order.lazy.filter { $0 !== receiver }.flatMap(\.sources).filter { $0.kind == .video }
        // Clients of 2022 name endpoints; then the first video of each stands for it.
        var byName: [String: Source] = [:]
        var names: [String] = []
        for source in videos where byName[receiver.name(of: source)] == nil {
            let name = receiver.name(of: source)
            byName[name] = source
            names.append(name)
        }
        let heights = receiver.constraints.effectiveHeights(names) { byName[$0].map(\.isOffered) ?? false }
        var forwarded: [String] = []
        for name in names {
            guard let source = byName[name] else { continue }
            let height = receiver.accepts(.video) ? heights[name] ?? 0 : 0
            // A receiver that has not spoken yet wants nothing, but its sender need not stop for that.
            if receiver.constraints.isKnown {
                wanted[source.index] = Self.higher(wanted[source.index] ?? 0, height)
            }
            let target = EncodingSelector.select(source.candidates, maxHeight: height)
            setTarget(target, of: source, for: receiver, now: now)
            if target != Forwarder.none { forwarded.append(name) }
        }
        for source in sources {
            guard let source, source.kind == .audio, source.owner !== receiver else { continue }
            let isHeard = receiver.accepts(.audio) && receiver.hears(source)
            setTarget(isHeard ? 0 : Forwarder.none, of: source, for: receiver, now: now)
        }
        if forwarded != receiver.forwarded {
            receiver.forwarded = forwarded
            announceForwarded(to: receiver)
        }
    }

    /// The larger of two heights, where -1 means no limit.
    private static func higher(_ a: Int, _ b: Int) -> Int { a < 0 || b < 0 ? -1 : max(a, b) }

    private func setTarget(
        _ target: Forwarder.EncodingIndex, of source: Source, for receiver: Endpoint, now: Instant
    ) {
        let clockRate = Int32(source.primary.stream.reception.clockRate)
        var forwarder = receiver.forwarders[source.index] ?? Forwarder(kind: source.kind, clockRate: clockRate)
        if forwarder.output == nil, let outputs = receiver.outputs, target != Forwarder.none {
            forwarder.output = outputs.row(
                for: source.primary.ssrc, rtx: source.primary.rtx, kind: source.kind,
                firstIndex: shard.firstSequenceNumber())
            if forwarder.output == nil { shard.statistics.count(.outputStreamLimit) }
        }
        let changed = forwarder.target != target
        forwarder.target = target
        receiver.forwarders[source.index] = forwarder
        if changed, target != Forwarder.none, forwarder.gated, forwarder.currentEncoding != target {
            requestKeyframe(source.encodings[Int(target)].stream.id, now: now)
        }
    }

    /// Tells the owner of a source the most that anybody wants of it, when that changed.
    ///
    /// - Parameter height: nil: no receiver has said anything about it.
    private func tellSender(of source: Source, height: Int?) {
        guard let height = height ?? source.wantedHeight.map({ _ in 0 }), source.wantedHeight != height else { return }
        source.wantedHeight = height
        sendSenderConstraints(of: source)
    }

    func sendSenderConstraints(of source: Source) {
        guard let height = source.wantedHeight else { return }
        let owner = source.owner
        if owner.usesSourceNames {
            shard.send(.senderSourceConstraints(sourceName: source.name, maxHeight: height), to: owner)
        } else if owner.toldIdealHeight != height {
            owner.toldIdealHeight = height
            shard.send(.senderVideoConstraints(idealHeight: height), to: owner)
        }
    }

    /// Which videos the client gets now: names of sources, or of endpoints for clients of 2022.
    func announceForwarded(to receiver: Endpoint) {
        if receiver.usesSourceNames {
            shard.send(.forwardedSources(receiver.forwarded), to: receiver)
        } else {
            shard.send(.lastNEndpoints(receiver.forwarded), to: receiver)
        }
    }
}
