// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Counters of one shard. Whatever the bridge discards has a reason here; nothing is lost silently.

/// Why a datagram or packet was discarded. The names appear in statistics.
enum DropReason: Int, CaseIterable {
    /// First byte fits none of STUN, DTLS, RTP, RTCP (RFC 7983).
    case unknownProtocol
    /// STUN message that does not parse.
    case stunMalformed
    /// Binding request for a ufrag that no endpoint has.
    case stunUnknownUfrag
    /// STUN message that an ICE agent refused (no or wrong integrity, stale transaction, limits).
    case stunRefused
    /// Neither STUN nor from an ICE-validated path.
    case unvalidatedPath
    /// For another shard that could not take it.
    case carrierFull
    case beforeDTLS
    case rtpMalformed
    case rtcpMalformed
    case tooLarge
    case noMemory
    /// SRTP or SRTCP: authentication failed.
    case authentication
    /// SRTP or SRTCP: replayed or older than the window.
    case replayed
    case tooManyStreams
    case unknownSSRC
    case unknownPayloadType
    case duplicate
    /// Older than what the stream's ring still holds.
    case tooLate
    /// No payload: padding sent to probe the bandwidth.
    case paddingOnly
    /// RTX packet too short to hold the original sequence number (RFC 4588).
    case rtxMalformed
    case forceMuted
    case silence
    case descriptorMalformed
    /// The receiver may have no more than 1024 output SSRCs.
    case outputStreamLimit
    case sealRefused
    case consentLost
    case channelMessageMalformed
    case channelMessageUnknown
    case nackUnanswered
}

/// Plain counters; the shard owns one, `ShardSnapshot` is its copy for others.
struct Statistics {
    private(set) var drops = [Int](repeating: 0, count: DropReason.allCases.count)
    var packetsReceived = 0
    var bytesReceived = 0
    var packetsSent = 0
    var bytesSent = 0
    var conferencesCreated = 0
    var conferencesCompleted = 0
    var endpointsCreated = 0
    var iceSucceeded = 0
    var iceFailed = 0
    var dtlsFailed = 0
    var dominantSpeakerChanges = 0
    var keyframeRequests = 0
    var channelMessagesReceived = 0
    var channelMessagesSent = 0
    var nacksSent = 0

    @inline(__always)
    mutating func count(_ reason: DropReason, _ n: Int = 1) { drops[reason.rawValue] += n }
}
