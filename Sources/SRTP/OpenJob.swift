// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// One protected RTP packet, to be opened out of place.
@safe public struct OpenJob: BitwiseCopyable {
    /// Must live until the batch is opened.
    public var opener: Unmanaged<SRTPOpener>
    /// The protected packet. Only read.
    public var packet: UnsafeRawPointer
    /// Bytes at `packet`.
    public var length: Int32
    /// Bytes of its header, CSRCs and extension included, as parsed from it.
    public var headerLength: Int32
    /// As parsed from the header.
    public var ssrc: SSRC
    /// As parsed from the header.
    public var sequenceNumber: SequenceNumber
    /// Gets header and plaintext payload; room for `length` bytes. Must not overlap `packet`. Of no use after a failure.
    public var output: UnsafeMutableRawPointer
    /// Out: the packet's index, when it was opened.
    public var index: ExtendedSequenceNumber
    /// Out: bytes of header and payload at `output`, or -1.
    public var openedLength: Int32
    /// Out: `none` when the packet was opened.
    public var failure: OpenFailure

    /// A job that is not opened yet.
    public init(
        opener: Unmanaged<SRTPOpener>, packet: UnsafeRawPointer, length: Int32, headerLength: Int32, ssrc: SSRC,
        sequenceNumber: SequenceNumber, output: UnsafeMutableRawPointer
    ) {
        unsafe self.opener = opener
        unsafe self.packet = packet
        self.length = length
        self.headerLength = headerLength
        self.ssrc = ssrc
        self.sequenceNumber = sequenceNumber
        unsafe self.output = output
        index = ExtendedSequenceNumber(rawValue: 0)
        openedLength = -1
        failure = .none
    }
}

extension SRTPEngine {
    /// Opens packets of any peers in three passes: *peek* at the windows and guess the indices (nothing changes), verify
    /// and decrypt, *commit* the authentic ones in order of arrival. A packet is opened once even if the batch has it
    /// twice, and a forged one changes nothing.
    public func open(_ jobs: UnsafeMutableBufferPointer<OpenJob>) {
        guard var first = jobs.baseAddress else { return }
        var rest = jobs.count
        while rest > 0 {
            let count = min(rest, Self.chunk)
            unsafe openChunk(first, count)
            unsafe first += count
            rest -= count
        }
    }

    private func openChunk(_ jobs: UnsafeMutablePointer<OpenJob>, _ count: Int) {
        var queued = 0
        let kind = kind
        for position in 0..<count {
            let job = unsafe jobs + position
            let slot = unsafe scratch + queued
            unsafe job.pointee.openedLength = -1
            unsafe job.pointee.failure = job.pointee.opener._withUnsafeGuaranteedRef { opener in
                guard opener.kind == kind else { return .malformed }
                return unsafe opener.prepare(job, slot, position)
            }
            if unsafe job.pointee.failure == .none { queued += 1 }
        }
        unsafe cipher.open(UnsafeMutableBufferPointer(start: scratch, count: queued))
        var next = 0
        for position in 0..<count {
            let job = unsafe jobs + position
            if unsafe next < queued && Int(scratch[next].position) == position {
                if unsafe !scratch[next].succeeded { unsafe job.pointee.failure = .authentication }
                next += 1
            }
            unsafe finish(job)
        }
    }

    /// Commits a packet; one that failed gets a second chance if packets before it in this batch have moved the guess.
    @inline(__always)
    private func finish(_ job: UnsafeMutablePointer<OpenJob>) {
        unsafe job.pointee.opener._withUnsafeGuaranteedRef { opener in
            let isAnother: Bool
            switch unsafe job.pointee.failure {
            case .none: isAnother = false
            case .authentication, .tooOld, .replayed:
                let guess = unsafe opener.peek(job.pointee.ssrc, job.pointee.sequenceNumber)
                guard guess.failure == .none, unsafe guess.index != job.pointee.index.rawValue else { return }
                isAnother = true
            case .malformed, .tooManyStreams, .keyExhausted: return
            }
            if isAnother {
                let slot = unsafe scratch + Self.chunk
                unsafe job.pointee.failure = opener.prepare(job, slot, 0)
                guard unsafe job.pointee.failure == .none else { return }
                unsafe cipher.open(UnsafeMutableBufferPointer(start: slot, count: 1))
                guard unsafe slot.pointee.succeeded else {
                    unsafe job.pointee.failure = .authentication
                    return
                }
            }
            unsafe job.pointee.failure = opener.commit(opener.rtp, job.pointee.ssrc, job.pointee.index.rawValue)
            guard unsafe job.pointee.failure == .none else { return }
            unsafe job.pointee.openedLength = job.pointee.length - opener.tagLength
        }
    }
}

extension SRTPOpener {
    /// Checks lengths, guesses the index, asks the window and describes the packet to the cipher.
    @inline(__always)
    fileprivate func prepare(
        _ job: UnsafeMutablePointer<OpenJob>, _ slot: UnsafeMutablePointer<CipherJob>, _ position: Int
    ) -> OpenFailure {
        let header = unsafe job.pointee.headerLength
        let length = unsafe job.pointee.length
        guard length <= SRTPLimit.packetLength, header >= 12, header <= length, length - header >= tagLength else {
            return .malformed
        }
        let ssrc = unsafe job.pointee.ssrc
        let (index, failure) = unsafe peek(ssrc, job.pointee.sequenceNumber)
        unsafe job.pointee.index = ExtendedSequenceNumber(rawValue: index)
        guard failure == .none else { return failure }
        let packet = unsafe job.pointee.packet
        let output = unsafe job.pointee.output
        unsafe output.copyMemory(from: packet, byteCount: Int(header))
        unsafe slot.initialize(
            to: CipherJob(
                context: rtpContext, isAEAD: isAEAD, succeeded: false, vector: rtpSalt.vector(ssrc, index),
                associated: packet, associatedLength: header, headerLength: header, patchLength: 0,
                payloadLength: length - header - tagLength, source: packet, output: output,
                tagOffset: length - tagLength, trailer: UInt32(truncatingIfNeeded: index >> 16),
                position: Int32(truncatingIfNeeded: position)))
        return .none
    }
}
