// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// The seam behind which crypto libraries stand: packets with everything decided come in, bytes and a verdict go out.

/// The expanded keys of one direction and one kind of packet, owned by the engine that made them.
typealias CipherContext = UnsafeMutableRawPointer

/// One packet for a cipher. Every length was checked against its buffer before it got here.
@safe struct CipherJob: BitwiseCopyable {
    var context: CipherContext
    var isAEAD: Bool
    /// Out.
    var succeeded: Bool
    var vector: InitializationVector
    /// AEAD: what is authenticated and not encrypted.
    var associated: UnsafeRawPointer
    var associatedLength: Int32
    var headerLength: Int32
    /// Sealing only: plaintext bytes in `output` behind the header that stand for the first ones of the payload.
    var patchLength: Int32
    /// Without header, index and tag.
    var payloadLength: Int32
    /// Sealing: the plaintext payload. Opening: the whole protected packet.
    var source: UnsafeRawPointer
    /// The whole packet that comes out. Its header is there already.
    var output: UnsafeMutableRawPointer
    /// Where the tag is (opening: in `source`, sealing: in `output`).
    var tagOffset: Int32
    /// CM: authenticated behind the packet; the rollover counter, or E flag and index of SRTCP.
    var trailer: UInt32
    /// Which job of the batch this is.
    var position: Int32
}

/// One crypto library. An engine, like everything made by it, is confined to one thread.
protocol CipherEngine: AnyObject {
    /// Expands keys. The context must be given back to `destroy` of the same engine.
    func makeContext(_ profile: ProtectionProfile, _ keys: SessionKeys, seals: Bool) throws(SRTPError) -> CipherContext
    func destroy(_ context: CipherContext, _ profile: ProtectionProfile)
    /// Encrypts each job and writes its tag; all bytes written lie before the end of the tag.
    func seal(_ jobs: UnsafeMutableBufferPointer<CipherJob>)
    /// Verifies and decrypts each job. A job that did not succeed leaves nothing of use in its output.
    func open(_ jobs: UnsafeMutableBufferPointer<CipherJob>)
}
