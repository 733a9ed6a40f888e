// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Where the time of a batch goes, for the benchmark. The shard has no clock; it only says what it has just finished.

public enum Stage: Int, CaseIterable, Sendable {
    case receive
    case open
    case forward
    case seal
    case send
}

public protocol StageProbe: AnyObject {
    /// The time since the previous mark went into `stage`. Called a few times per batch, not per packet.
    func finished(_ stage: Stage)
}
