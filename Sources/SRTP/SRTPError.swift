// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What can go wrong in SRTP: errors of setting a direction up, and the reasons for which a packet is not opened.

/// Why a sealer, an opener or an engine could not be made.
public enum SRTPError: Error, Hashable, Sendable {
    /// Master key or salt has not the length that the profile wants.
    case badKeyLength
    /// This build or this processor cannot run the engine.
    case engineUnavailable
    /// The crypto library refused a key.
    case engineFailure
    /// A state to be restored has too many streams, one twice, or an index out of range.
    case badState
}

/// Why a protected packet was not opened; each is a counted reason of dropping.
public enum OpenFailure: UInt8, Error, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// The packet was opened.
    case none
    /// Too short for its header and tag, longer than any datagram, or SRTCP that is not encrypted.
    case malformed
    /// An authentic packet with this index was opened before (RFC 3711 section 3.3.2).
    case replayed
    /// Behind the replay window, or before the first rollover of its stream.
    case tooOld
    /// The tag is wrong: forged, damaged, or of another key.
    case authentication
    /// The opener already follows as many SSRCs as it may.
    case tooManyStreams
    /// The stream has used all 2^48 indices of its key.
    case keyExhausted
}
