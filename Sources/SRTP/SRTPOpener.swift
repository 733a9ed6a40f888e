// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// Opens everything that one peer sends, for the whole life of its DTLS keys; knows which indices it has seen.
///
/// An SSRC gets state only after its first authentic packet, so that nobody without the key can fill the table of 256.
@safe public final class SRTPOpener {
    /// Which algorithms it opens with.
    public let profile: ProtectionProfile
    let engine: SRTPEngine
    let kind: EngineKind
    let isAEAD: Bool
    let tagLength: Int32
    let rtpContext: CipherContext
    let rtcpContext: CipherContext
    let rtpSalt: SessionSalt
    let rtcpSalt: SessionSalt
    let rtp: StreamTable<ReplayWindow>
    let rtcp: StreamTable<ReplayWindow>

    /// - Parameter restoring: the windows of the streams when the keys are not new.
    /// - Throws: `badKeyLength`, `badState` or `engineFailure`.
    public convenience init(
        profile: ProtectionProfile, key: SRTPMasterKey, engine: SRTPEngine, restoring state: OpenerState = OpenerState()
    ) throws(SRTPError) {
        var rtp = try SessionKeys(profile, master: key, purpose: .rtp)
        var rtcp = try SessionKeys(profile, master: key, purpose: .rtcp)
        defer {
            rtp.wipe()
            rtcp.wipe()
        }
        try self.init(profile: profile, rtp: rtp, rtcp: rtcp, engine: engine, restoring: state)
    }

    init(
        profile: ProtectionProfile, rtp: SessionKeys, rtcp: SessionKeys, engine: SRTPEngine,
        restoring state: OpenerState = OpenerState()
    ) throws(SRTPError) {
        self.rtp = StreamTable(limit: SRTPLimit.openedStreams)
        self.rtcp = StreamTable(limit: SRTPLimit.openedStreams)
        try Self.restore(state.rtp, into: self.rtp, indices: SRTPLimit.packetIndices)
        try Self.restore(state.rtcp, into: self.rtcp, indices: UInt64(SRTPLimit.rtcpIndices))
        self.profile = profile
        self.engine = engine
        kind = engine.kind
        isAEAD = profile.isAEAD
        tagLength = Int32(profile.tagLength)
        rtpSalt = SessionSalt(rtp.salt, profile)
        rtcpSalt = SessionSalt(rtcp.salt, profile)
        unsafe rtpContext = try engine.cipher.makeContext(profile, rtp, seals: false)
        do throws(SRTPError) {
            unsafe rtcpContext = try engine.cipher.makeContext(profile, rtcp, seals: false)
        } catch {
            unsafe engine.cipher.destroy(rtpContext, profile)
            throw error
        }
    }

    deinit {
        unsafe engine.cipher.destroy(rtpContext, profile)
        unsafe engine.cipher.destroy(rtcpContext, profile)
    }

    /// The windows of all streams.
    public var state: OpenerState { OpenerState(rtp: Self.export(rtp), rtcp: Self.export(rtcp)) }

    /// Guesses the index of an RTP packet (RFC 3711 section 3.3.1) and asks the window. Changes nothing.
    @inline(__always)
    func peek(_ ssrc: SSRC, _ sequenceNumber: SequenceNumber) -> (index: UInt64, failure: OpenFailure) {
        guard let number = rtp.find(ssrc) else {
            let isFull = rtp.count >= rtp.limit
            return (UInt64(sequenceNumber.rawValue), isFull ? .tooManyStreams : .none)
        }
        let window = unsafe rtp.row(at: number)
        guard let highest = unsafe window.pointee.highest,
            let index = ExtendedSequenceNumber(rawValue: highest).nearest(to: sequenceNumber)
        else { return (UInt64.max, .tooOld) }
        guard index.rawValue < SRTPLimit.packetIndices else { return (UInt64.max, .keyExhausted) }
        return unsafe (index.rawValue, window.pointee.peek(index.rawValue))
    }

    /// Notes the index of an authentic packet, unless another one had it first.
    @inline(__always)
    func commit(_ table: borrowing StreamTable<ReplayWindow>, _ ssrc: SSRC, _ index: UInt64) -> OpenFailure {
        guard let number = table.findOrAdd(ssrc, ReplayWindow()) else { return .tooManyStreams }
        return unsafe table.row(at: number).pointee.commit(index)
    }

    private static func restore(
        _ streams: [OpenerState.Stream], into table: borrowing StreamTable<ReplayWindow>, indices: UInt64
    ) throws(SRTPError) {
        for stream in streams {
            guard stream.highest < indices, let window = ReplayWindow(highest: stream.highest, words: stream.window),
                table.find(stream.ssrc) == nil, table.findOrAdd(stream.ssrc, window) != nil
            else { throw .badState }
        }
    }

    private static func export(_ table: borrowing StreamTable<ReplayWindow>) -> [OpenerState.Stream] {
        var streams: [OpenerState.Stream] = []
        for number in 0..<table.count {
            let window = unsafe table.row(at: number).pointee
            guard let highest = window.highest else { continue }
            streams.append(.init(ssrc: table.ssrc(at: number), highest: highest, window: window.words))
        }
        return streams
    }
}
