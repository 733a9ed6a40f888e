// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which encoding of a source fits the height that a receiver wants.

import RTP

enum EncodingSelector {
    /// What is known of an encoding.
    struct Candidate: Equatable {
        /// Picture height in lines: the last keyframe's, else nominal (180, 360, 720, ...).
        var height: Int
        /// Packets arrive.
        var isActive: Bool
    }

    /// - Parameters:
    ///   - candidates: lowest quality first.
    ///   - maxHeight: -1: no limit; 0: nothing is wanted.
    /// - Returns: the best active encoding not higher than wanted, else the lowest active one, else (nothing arrives yet) the one
    ///   that would fit; `Forwarder.none` when nothing is wanted or there is nothing.
    static func select(_ candidates: [Candidate], maxHeight: Int) -> Forwarder.EncodingIndex {
        guard maxHeight != 0, !candidates.isEmpty else { return Forwarder.none }
        let fits = { (c: Candidate) in maxHeight < 0 || c.height <= maxHeight }
        let anyActive = candidates.contains(where: \.isActive)
        let usable = candidates.indices.filter { !anyActive || candidates[$0].isActive }
        let best = usable.last { fits(candidates[$0]) } ?? usable.first
        return best.map(Forwarder.EncodingIndex.init(_:)) ?? Forwarder.none
    }

    /// Height that Jitsi clients give to encoding `index` of `count` (180, 360, 720 for three).
    static func nominalHeight(_ index: Int, of count: Int) -> Int {
        count == 1 ? 720 : 180 << min(index, 5)
    }
}
