// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One participant: its transport, what it sends, what it wants and gets.

import Colibri
import ICE
import RTP
import SRTP

final class Endpoint {
    let id: String
    let handle: EndpointHandle
    let statsID: String?
    unowned let conference: Conference
    let transport: Transport
    /// Starts the transaction ids of its connectivity checks, so that answers find their way back.
    let tag: UInt32
    let createdAt: Instant
    /// Clients without it are spoken to about endpoints (lib-jitsi-meet of 2022).
    let usesSourceNames: Bool
    let isVisitor: Bool
    let wantsSCTP: Bool
    /// Secret in the URL of this endpoint's WebSocket; never logged.
    let channelPassword: String
    let privateCandidatesAllowed: Bool
    var formats = PayloadFormats()

    // What it sends.
    var sources: [Source] = []
    /// Streams by SSRC, each with whether the SSRC carries its retransmissions.
    var streams: [SSRC: (stream: ReceiveStream, isRetransmission: Bool)] = [:]
    var forceMute = EndpointModify.ForceMute(audio: false, video: false)
    var feedback = FeedbackRecorder()
    var speech = SpeechActivity()
    /// Smoothed round trip to this endpoint.
    var roundTrip: Interval { outputs?.roundTrip ?? .milliseconds(100) }
    /// Consecutive packets with audio level 127 that were forwarded.
    var silentPackets = 0
    var lastReceiverReportAt: Instant
    /// Validated paths that lead here, for the shard's table.
    var paths = Set<Path>()
    var fragments = Set<UsernameFragment>()
    /// No candidate pair works: it goes with the next sweep, as in JVB.
    var hasFailedICE = false

    // What it gets.
    var constraints: ReceiverConstraints
    var audioSubscription = ReceiverAudioSubscription(all: true)
    /// One per source of the conference, at the source's index; nil for its own and for unused places.
    var forwarders: ContiguousArray<Forwarder?> = []
    var outputs: OutputStreams?
    /// Video sources that are being forwarded, as last told to the client.
    var forwarded: [String] = []
    var channel: ChannelTransport?
    var openChannels = Set<ChannelTransport>()
    /// As last told to the others: false after 8 s without a sign of life.
    var isReachable = true
    /// Highest picture wanted of it, as last told to a client that knows no source names.
    var toldIdealHeight: Int?

    init(
        modify: EndpointModify, handle: EndpointHandle, conference: Conference, transport: Transport,
        tag: UInt32, channelPassword: String, now: Instant
    ) {
        id = modify.id
        self.handle = handle
        statsID = modify.statsID
        self.conference = conference
        self.transport = transport
        self.tag = tag
        createdAt = now
        usesSourceNames = modify.capabilities.contains(Capability.sourceNames)
        isVisitor = modify.mucRole == .visitor
        wantsSCTP = modify.transport?.sctp != nil
        privateCandidatesAllowed = modify.capabilities.contains(Capability.privateAddressConnectivity)
        self.channelPassword = channelPassword
        constraints = ReceiverConstraints(initialLastN: modify.initialLastN)
        lastReceiverReportAt = now
    }

    /// What the client calls a source in its constraints.
    func name(of source: Source) -> String { usesSourceNames ? source.name : source.owner.id }

    func accepts(_ kind: MediaKind) -> Bool { kind == .audio ? formats.acceptsAudio : formats.acceptsVideo }

    /// Whether the client wants to hear a source (exclude beats include beats all).
    func hears(_ source: Source) -> Bool {
        if audioSubscription.exclude.contains(source.name) { return false }
        if audioSubscription.include.contains(source.name) { return true }
        return audioSubscription.all && !source.description.isSynthetic
    }

    /// Keys exist: from now on streams can be sent.
    func openOutputs() {
        guard outputs == nil, let sealer = transport.sealer, let profile = transport.profile else { return }
        let outputs = OutputStreams(sealer: sealer, profile: profile) { [unowned transport] in transport.sendPath }
        outputs.extensions = formats.extensions
        outputs.rtxPayloadTypes = formats.retransmissionTypes
        self.outputs = outputs
    }
}
