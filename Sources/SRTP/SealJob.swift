// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// One RTP packet for one receiver, to be sealed out of place: its own header, the payload that all receivers share.
@safe public struct SealJob: BitwiseCopyable {
    /// Must live until the batch is sealed.
    public var sealer: Unmanaged<SRTPSealer>
    /// Row of the outgoing SSRC in that sealer.
    public var stream: SRTPSealer.StreamID
    /// Index of the packet: one that was not used yet and is not more than 127 below the highest used (`SealWindow`), or,
    /// for a resend, one that was used.
    public var index: ExtendedSequenceNumber
    /// Seals again an index that was used, to be sent again. The caller gives exactly the bytes of the first time.
    public var isResend: Bool
    /// Holds the header image and, behind it, the patch. Gets the sealed packet: header, payload and
    /// `profile.rtpOverhead` bytes; not a byte behind that is written.
    public var output: UnsafeMutableRawPointer
    /// Bytes of header image, CSRCs and extension included.
    public var headerLength: Int32
    /// Plaintext bytes behind the header that replace the first bytes of the payload.
    public var patchLength: Int32
    /// The shared plaintext. Its first `patchLength` bytes are not read. Must not overlap `output`.
    public var payload: UnsafeRawPointer
    /// Bytes of payload, patch included, padding included.
    public var payloadLength: Int32
    /// Out: all bytes at `output`, or -1 when the packet was refused or could not be sealed.
    public var sealedLength: Int32

    /// A job that is not sealed yet.
    public init(
        sealer: Unmanaged<SRTPSealer>, stream: SRTPSealer.StreamID, index: ExtendedSequenceNumber,
        isResend: Bool = false,
        output: UnsafeMutableRawPointer, headerLength: Int32, patchLength: Int32 = 0, payload: UnsafeRawPointer,
        payloadLength: Int32
    ) {
        unsafe self.sealer = sealer
        self.stream = stream
        self.index = index
        self.isResend = isResend
        unsafe self.output = output
        self.headerLength = headerLength
        self.patchLength = patchLength
        unsafe self.payload = payload
        self.payloadLength = payloadLength
        sealedLength = -1
    }
}

extension SRTPEngine {
    /// Seals packets of any receivers. Within a stream, indices are judged in the order of the jobs.
    ///
    /// A job is refused (`sealedLength` -1) when its index may not be used, when lengths contradict each other, or when
    /// SSRC and sequence number of its header image are not those of stream and index.
    public func seal(_ jobs: UnsafeMutableBufferPointer<SealJob>) {
        guard var first = jobs.baseAddress else { return }
        var rest = jobs.count
        while rest > 0 {
            let count = min(rest, Self.chunk)
            unsafe sealChunk(first, count)
            unsafe first += count
            rest -= count
        }
    }

    private func sealChunk(_ jobs: UnsafeMutablePointer<SealJob>, _ count: Int) {
        var queued = 0
        for position in 0..<count {
            let job = unsafe jobs + position
            unsafe job.pointee.sealedLength = -1
            let kind = kind
            let slot = unsafe scratch + queued
            let isAdmitted = unsafe job.pointee.sealer._withUnsafeGuaranteedRef { sealer in
                unsafe sealer.kind == kind && sealer.admit(job, slot, position)
            }
            if isAdmitted { queued += 1 }
        }
        unsafe cipher.seal(UnsafeMutableBufferPointer(start: scratch, count: queued))
        for number in 0..<queued {
            let done = unsafe scratch + number
            guard unsafe done.pointee.succeeded else { continue }
            unsafe jobs[Int(done.pointee.position)].sealedLength =
                done.pointee.tagOffset + (done.pointee.isAEAD ? 16 : 10)
        }
    }
}

extension SRTPSealer {
    /// Uses the index of a job up and describes its packet to the cipher; false, and nothing changed, when it is refused.
    @inline(__always)
    fileprivate func admit(
        _ job: UnsafeMutablePointer<SealJob>, _ slot: UnsafeMutablePointer<CipherJob>, _ position: Int
    ) -> Bool {
        let index = unsafe job.pointee.index
        let header = unsafe job.pointee.headerLength
        let patch = unsafe job.pointee.patchLength
        let length = unsafe job.pointee.payloadLength
        let output = unsafe job.pointee.output
        let number = unsafe Int(job.pointee.stream.row)
        guard header >= 12, patch >= 0, length >= patch, length <= SRTPLimit.packetLength,
            header <= SRTPLimit.packetLength - length, number < streams.count, index.rawValue < SRTPLimit.packetIndices
        else { return false }
        let ssrc = streams.ssrc(at: number)
        let sequenceNumber = unsafe UInt16(bigEndian: output.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        let source = unsafe UInt32(bigEndian: output.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard sequenceNumber == index.wire.rawValue, source == ssrc.rawValue else { return false }

        let stream = unsafe streams.row(at: number)
        if unsafe job.pointee.isResend {
            guard unsafe stream.pointee.wasUsed(index.rawValue) else { return false }
        } else {
            guard unsafe stream.pointee.take(index.rawValue) else { return false }
        }
        unsafe slot.initialize(
            to: CipherJob(
                context: rtpContext, isAEAD: isAEAD, succeeded: false, vector: rtpSalt.vector(ssrc, index.rawValue),
                associated: UnsafeRawPointer(output), associatedLength: header, headerLength: header,
                patchLength: patch,
                payloadLength: length, source: job.pointee.payload, output: output, tagOffset: header + length,
                trailer: index.rollover, position: Int32(truncatingIfNeeded: position)))
        return true
    }
}
