// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a shard needs to know of the process it runs in; fixed for its life, except for the advertised addresses.

public import ICE
public import SRTP

public struct ShardConfiguration: Sendable {
    /// Index of this shard, 0...255; the first character of its ufrags and the top byte of its handles tell it.
    public var index: UInt8 = 0
    /// What we can send from: one entry per local address and socket.
    public var bases: [LocalBase] = []
    public var candidates: [AdvertisedCandidate] = []
    /// Private addresses are told only to endpoints with the capability `private-address-connectivity` when false.
    public var advertisesPrivateCandidates = true
    /// What precedes `/CONFERENCE-ID/ENDPOINT-ID?pwd=` in the URL of the colibri WebSocket, one per domain; empty: no
    /// WebSocket is offered.
    public var webSocketPrefixes: [String] = []
    /// Whether endpoints may have an SCTP data channel.
    public var sctpEnabled = true
    /// SRTP engine; nil: the fastest of this machine.
    public var engine: EngineKind?
    /// Limit of endpoints on this shard; more get `resource-constraint`.
    public var endpointLimit = 2000

    public init() {}
}
