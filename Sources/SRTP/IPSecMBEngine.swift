// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#if canImport(CIPSecMB)
    import CIPSecMB
    import RTP

    /// AES-GCM, and AES-CM with HMAC-SHA1 for several packets at once, by Intel's multi-buffer library: x86-64 with AVX2.
    ///
    /// A few CM packets alone leave most of its lanes empty; those and all odd lengths go to OpenSSL.
    @safe final class IPSecMBEngine: CipherEngine {
        /// From this many queued CM packets on the lanes pay.
        static var fewestCMJobs: Int { 4 }
        private static var longestCMJob: Int32 { 8192 }

        /// Keys of one direction as both libraries want them.
        @safe private struct Keys {
            let expanded: OpaquePointer
            /// CM only.
            let openSSL: CipherContext?
        }

        private let manager: OpaquePointer
        private let openSSL = OpenSSLEngine()

        /// Nil when this processor cannot run it.
        init?() {
            guard let manager = unsafe jvbd_mb_new() else { return nil }
            unsafe self.manager = manager
        }

        deinit { unsafe jvbd_mb_free(manager) }

        func makeContext(_ profile: ProtectionProfile, _ keys: SessionKeys, seals: Bool) throws(SRTPError)
            -> CipherContext
        {
            let expanded: OpaquePointer?
            if profile.isAEAD {
                guard keys.encryption.count == profile.keyLength else { throw .badKeyLength }
                unsafe expanded = jvbd_mb_key_new_gcm(manager, keys.encryption, keys.encryption.count)
            } else {
                guard keys.encryption.count == 16, keys.authentication.count == 20 else { throw .badKeyLength }
                unsafe expanded = jvbd_mb_key_new_cm(manager, keys.encryption, keys.authentication)
            }
            guard let expanded = unsafe expanded else { throw .engineFailure }
            var fallback: CipherContext?
            if !profile.isAEAD {
                do throws(SRTPError) {
                    unsafe fallback = try openSSL.makeContext(profile, keys, seals: seals)
                } catch {
                    unsafe jvbd_mb_key_free(expanded)
                    throw error
                }
            }
            let context = UnsafeMutablePointer<Keys>.allocate(capacity: 1)
            unsafe context.initialize(to: Keys(expanded: expanded, openSSL: fallback))
            return CipherContext(context)
        }

        func destroy(_ context: CipherContext, _ profile: ProtectionProfile) {
            let keys = unsafe context.assumingMemoryBound(to: Keys.self)
            unsafe jvbd_mb_key_free(keys.pointee.expanded)
            if let fallback = unsafe keys.pointee.openSSL { unsafe openSSL.destroy(fallback, profile) }
            unsafe keys.deallocate()
        }

        func seal(_ jobs: UnsafeMutableBufferPointer<CipherJob>) {
            guard let first = jobs.baseAddress else { return }
            let usesLanes = unsafe countCMJobs(first, jobs.count) >= Self.fewestCMJobs
            for number in 0..<jobs.count {
                let job = unsafe first + number
                if unsafe job.pointee.isAEAD {
                    unsafe sealGCM(job)
                } else if unsafe usesLanes && Self.fitsLane(job) {
                    unsafe jvbd_mb_cm_seal(
                        manager, Int32(truncatingIfNeeded: number), Self.keys(job).expanded, Self.vector(job),
                        job.pointee.output, job.pointee.headerLength, job.pointee.patchLength, job.pointee.source,
                        job.pointee.payloadLength, job.pointee.trailer)
                } else {
                    unsafe withOpenSSL(job) { unsafe OpenSSLEngine.seal($0) }
                }
            }
            guard usesLanes else { return }
            unsafe jvbd_mb_cm_flush(manager)
            for number in 0..<jobs.count {
                let job = unsafe first + number
                guard unsafe !job.pointee.isAEAD && Self.fitsLane(job) else { continue }
                let tag = unsafe job.pointee.output + Int(job.pointee.tagOffset)
                unsafe job.pointee.succeeded = jvbd_mb_cm_sealed(manager, Int32(truncatingIfNeeded: number), tag) == 1
            }
        }

        func open(_ jobs: UnsafeMutableBufferPointer<CipherJob>) {
            guard let first = jobs.baseAddress else { return }
            let usesLanes = unsafe countCMJobs(first, jobs.count) >= Self.fewestCMJobs
            for number in 0..<jobs.count {
                let job = unsafe first + number
                if unsafe job.pointee.isAEAD {
                    unsafe openGCM(job)
                } else if unsafe usesLanes && Self.fitsLane(job) {
                    unsafe jvbd_mb_cm_open(
                        manager, Int32(truncatingIfNeeded: number), Self.keys(job).expanded, Self.vector(job),
                        job.pointee.source + Int(job.pointee.headerLength), job.pointee.output,
                        job.pointee.headerLength,
                        job.pointee.payloadLength, job.pointee.trailer)
                } else {
                    unsafe withOpenSSL(job) { unsafe OpenSSLEngine.open($0) }
                }
            }
            guard usesLanes else { return }
            unsafe jvbd_mb_cm_flush(manager)
            for number in 0..<jobs.count {
                let job = unsafe first + number
                guard unsafe !job.pointee.isAEAD && Self.fitsLane(job) else { continue }
                let tag = unsafe job.pointee.source + Int(job.pointee.tagOffset)
                unsafe job.pointee.succeeded = jvbd_mb_cm_opened(manager, Int32(truncatingIfNeeded: number), tag) == 1
            }
        }

        @inline(__always)
        private func sealGCM(_ job: UnsafeMutablePointer<CipherJob>) {
            unsafe jvbd_mb_gcm_seal(
                manager, Self.keys(job).expanded, Self.vector(job), job.pointee.associated,
                job.pointee.associatedLength,
                job.pointee.output + Int(job.pointee.headerLength), job.pointee.patchLength, job.pointee.source,
                job.pointee.payloadLength, job.pointee.output + Int(job.pointee.tagOffset))
            unsafe job.pointee.succeeded = true
        }

        @inline(__always)
        private func openGCM(_ job: UnsafeMutablePointer<CipherJob>) {
            let result = unsafe jvbd_mb_gcm_open(
                manager, Self.keys(job).expanded, Self.vector(job), job.pointee.associated,
                job.pointee.associatedLength,
                job.pointee.source + Int(job.pointee.headerLength), job.pointee.payloadLength,
                job.pointee.output + Int(job.pointee.headerLength), job.pointee.source + Int(job.pointee.tagOffset))
            unsafe job.pointee.succeeded = result == 1
        }

        /// Lends a CM job to OpenSSL, with OpenSSL's context in it.
        @inline(__always)
        private func withOpenSSL(
            _ job: UnsafeMutablePointer<CipherJob>, _ body: (UnsafeMutablePointer<CipherJob>) -> Void
        ) {
            let own = unsafe job.pointee.context
            guard let fallback = unsafe Self.keys(job).openSSL else { return }
            unsafe job.pointee.context = fallback
            unsafe body(job)
            unsafe job.pointee.context = own
        }

        private func countCMJobs(_ jobs: UnsafeMutablePointer<CipherJob>, _ count: Int) -> Int {
            guard count >= Self.fewestCMJobs, count <= jvbd_mb_slots else { return 0 }
            var found = 0
            for number in 0..<count where unsafe !jobs[number].isAEAD && Self.fitsLane(jobs + number) { found += 1 }
            return found
        }

        @inline(__always)
        private static func fitsLane(_ job: UnsafeMutablePointer<CipherJob>) -> Bool {
            unsafe job.pointee.payloadLength > 0
                && job.pointee.headerLength + job.pointee.payloadLength <= longestCMJob
        }

        @inline(__always)
        private static func keys(_ job: UnsafeMutablePointer<CipherJob>) -> Keys {
            unsafe job.pointee.context.assumingMemoryBound(to: Keys.self).pointee
        }

        /// The vector where it is, because the library reads it as late as in the flush.
        @inline(__always)
        private static func vector(_ job: UnsafeMutablePointer<CipherJob>) -> UnsafePointer<UInt8> {
            let offset = MemoryLayout<CipherJob>.offset(of: \.vector) ?? 0
            return unsafe UnsafeRawPointer(job).advanced(by: offset).assumingMemoryBound(to: UInt8.self)
        }
    }

    extension SRTPEngine {
        /// The engine of this file, where it runs.
        static func makeIPSecMB() -> (any CipherEngine)? { IPSecMBEngine() }
    }
#else
    extension SRTPEngine {
        /// This package was built without Intel's multi-buffer library.
        static func makeIPSecMB() -> (any CipherEngine)? { nil }
    }
#endif
