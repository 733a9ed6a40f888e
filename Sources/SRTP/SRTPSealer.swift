// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// Limits of SRTP that follow from its index widths (RFC 3711 sections 3.3.1 and 3.4) and from UDP.
enum SRTPLimit {
    static var packetIndices: UInt64 { 1 << 48 }
    static var rtcpIndices: UInt32 { 1 << 31 }
    static var packetLength: Int32 { 65_535 }
    static var sealedStreams: Int { 1024 }
    static var openedStreams: Int { 256 }
}

/// Protects everything that one receiver gets, for the whole life of its DTLS keys.
///
/// Owns the outgoing indices: an SSRC keeps its row as long as the keys live, so whoever feeds it next continues where
/// the last one stopped, and no index is used for two packets. Under GCM that would give the authentication key away.
@safe public final class SRTPSealer {
    /// An outgoing SSRC of one sealer.
    public struct StreamID: BitwiseCopyable, Hashable, Sendable {
        let row: UInt16
    }

    /// Which algorithms it seals with.
    public let profile: ProtectionProfile
    let engine: SRTPEngine
    let kind: EngineKind
    let isAEAD: Bool
    let tagLength: Int32
    let rtpContext: CipherContext
    let rtcpContext: CipherContext
    let rtpSalt: SessionSalt
    let rtcpSalt: SessionSalt
    let streams: StreamTable<SealWindow>
    private(set) var nextRTCPIndex: UInt32

    /// - Parameter restoring: the indices used so far when the keys are not new.
    /// - Throws: `badKeyLength`, `badState` or `engineFailure`.
    public convenience init(
        profile: ProtectionProfile, key: SRTPMasterKey, engine: SRTPEngine, restoring state: SealerState = SealerState()
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
        restoring state: SealerState = SealerState()
    ) throws(SRTPError) {
        guard state.nextRTCPIndex <= SRTPLimit.rtcpIndices else { throw .badState }
        streams = StreamTable(limit: SRTPLimit.sealedStreams)
        for stream in state.streams {
            let next = stream.highest.map { $0.rawValue &+ 1 } ?? 0
            guard next <= SRTPLimit.packetIndices, stream.highest == nil || next > 0, streams.find(stream.ssrc) == nil,
                streams.findOrAdd(stream.ssrc, SealWindow(highest: stream.highest?.rawValue)) != nil
            else { throw .badState }
        }
        nextRTCPIndex = state.nextRTCPIndex
        self.profile = profile
        self.engine = engine
        kind = engine.kind
        isAEAD = profile.isAEAD
        tagLength = Int32(profile.tagLength)
        rtpSalt = SessionSalt(rtp.salt, profile)
        rtcpSalt = SessionSalt(rtcp.salt, profile)
        unsafe rtpContext = try engine.cipher.makeContext(profile, rtp, seals: true)
        do throws(SRTPError) {
            unsafe rtcpContext = try engine.cipher.makeContext(profile, rtcp, seals: true)
        } catch {
            unsafe engine.cipher.destroy(rtpContext, profile)
            throw error
        }
    }

    deinit {
        unsafe engine.cipher.destroy(rtpContext, profile)
        unsafe engine.cipher.destroy(rtcpContext, profile)
    }

    /// The row of an SSRC, a new one if it has none; nil when 1024 SSRCs have rows. Rows live as long as the sealer.
    public func stream(for ssrc: SSRC) -> StreamID? {
        guard let row = streams.findOrAdd(ssrc, SealWindow(highest: nil)) else { return nil }
        return StreamID(row: UInt16(truncatingIfNeeded: row))
    }

    /// The highest index sealed for a stream, behind which a forwarder continues; nil when nothing was sealed.
    public func highestSealed(_ stream: StreamID) -> ExtendedSequenceNumber? {
        guard Int(stream.row) < streams.count else { return nil }
        let next = unsafe streams.row(at: Int(stream.row)).pointee.next
        return next == 0 ? nil : ExtendedSequenceNumber(rawValue: next - 1)
    }

    /// All indices used so far.
    public var state: SealerState {
        let rows = (0..<streams.count).map { row in
            SealerState.Stream(
                ssrc: streams.ssrc(at: row), highest: highestSealed(StreamID(row: UInt16(truncatingIfNeeded: row))))
        }
        return SealerState(streams: rows, nextRTCPIndex: nextRTCPIndex)
    }

    /// The index of the next SRTCP packet, which is then used; nil when all 2^31 are.
    func takeRTCPIndex() -> UInt32? {
        guard nextRTCPIndex < SRTPLimit.rtcpIndices else { return nil }
        defer { nextRTCPIndex += 1 }
        return nextRTCPIndex
    }
}
