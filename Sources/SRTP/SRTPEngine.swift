// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// The crypto libraries that can protect packets.
public enum EngineKind: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// OpenSSL's EVP: everywhere, one packet at a time.
    case openSSL
    /// Intel's multi-buffer library: x86-64, several packets at once.
    case ipsecMB
}

/// A crypto library with the scratch memory of its batches; seals and opens for every sealer and opener made with it.
///
/// Confined to one thread: a shard has one.
@safe public final class SRTPEngine {
    /// Which library this is.
    public let kind: EngineKind
    let cipher: any CipherEngine
    /// Packets given to the library at once; a longer batch goes in parts.
    static var chunk: Int { 128 }
    /// `chunk` jobs and one more for a packet out of turn.
    let scratch: UnsafeMutablePointer<CipherJob>
    /// Associated data of one SRTCP packet under an AEAD profile: 8 bytes of header and 4 of index.
    let associated: UnsafeMutableRawPointer

    /// - Throws: `engineUnavailable` when this build or this processor cannot run that library.
    public convenience init(_ kind: EngineKind) throws(SRTPError) {
        switch kind {
        case .openSSL: self.init(kind, OpenSSLEngine())
        case .ipsecMB:
            guard let cipher = Self.makeIPSecMB() else { throw .engineUnavailable }
            self.init(kind, cipher)
        }
    }

    private init(_ kind: EngineKind, _ cipher: any CipherEngine) {
        self.kind = kind
        self.cipher = cipher
        unsafe scratch = .allocate(capacity: Self.chunk + 1)
        unsafe associated = .allocate(byteCount: 16, alignment: 16)
    }

    deinit {
        unsafe scratch.deallocate()
        unsafe associated.deallocate()
    }

    /// The fastest engine of this machine.
    public static func preferred() -> SRTPEngine {
        if let cipher = makeIPSecMB() { return SRTPEngine(.ipsecMB, cipher) }
        return SRTPEngine(.openSSL, OpenSSLEngine())
    }
}
