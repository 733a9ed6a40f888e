// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The folder of recordings that `JVB_DEBUG_RTP_DUMP` names: takes filled buffers from the media threads and writes them on a
/// thread of its own, so that a slow disk delays nobody's media.

import Bridge
import CLinux
import Glibc
import Logging

final class RTPDump: Sendable {
    /// The next bytes of one recording.
    struct Chunk: Sendable {
        enum Ending: Sendable {
            case none
            /// The endpoint is gone.
            case complete
            /// The recording has reached its limit.
            case full
            /// The disk was too slow for it.
            case overrun
        }

        var endpoint: EndpointHandle
        /// File name without folder; used by the first chunk.
        var name: String
        var bytes: [UInt8]
        var ending = Ending.none
    }

    /// Chunks that may wait for the disk, of about 64 KiB each.
    private static let chunkLimit = 256
    /// Made and removed at the start.
    private static let trialName = ".jvbd-rtpdump"
    /// Places kept for endings, which are small and close files.
    private static let reserve = 32

    private let mailbox: Mailbox<Chunk>
    private let thread: NativeThread

    /// - Throws: `ConfigurationProblem` when the folder cannot be used; `SystemCallError` without descriptors or threads.
    init(folder: String, logger: Logger) throws {
        let descriptor = try Self.open(folder: folder)
        do {
            let doorbell = try Doorbell()
            let mailbox = Mailbox<Chunk>(capacity: Self.chunkLimit, doorbell: doorbell)
            self.mailbox = mailbox
            thread = try NativeThread(name: "rtpdump") {
                RTPDumpFiles(folder: descriptor, logger: logger).run(mailbox, doorbell)
                closeDescriptor(descriptor)
            }
        } catch {
            closeDescriptor(descriptor)
            throw error
        }
    }

    private static func open(folder: String) throws(ConfigurationProblem) -> Int32 {
        let descriptor = unsafe Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        // Only making a file tells for certain; permissions do not know of read-only and special file systems.
        let trial =
            descriptor < 0
            ? -1 : unsafe openat(descriptor, trialName, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        if trial >= 0 {
            closeDescriptor(trial)
            _ = unsafe unlinkat(descriptor, trialName, 0)
            return descriptor
        }
        let reason = errno
        if descriptor >= 0 { closeDescriptor(descriptor) }
        throw ConfigurationProblem(
            variable: "JVB_DEBUG_RTP_DUMP", complaint: "cannot write to \(folder): \(SystemCallError.text(of: reason))",
            mend: "name a folder that exists and that jvbd may write to, or unset it")
    }

    /// Queues bytes for the disk; false when too much waits already or the dump has stopped.
    func take(_ chunk: Chunk) -> Bool {
        mailbox.post(chunk, leaving: chunk.ending == .none ? Self.reserve : 0)
    }

    /// Writes what waits and closes the files. Recordings that are still open end where they are.
    func stop() {
        mailbox.close()
        thread.join()
    }
}

/// The open files, confined to the writing thread.
private final class RTPDumpFiles {
    private let folder: Int32
    private let logger: Logger
    private var files: [EndpointHandle: Int32] = [:]

    init(folder: Int32, logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    deinit {
        for file in files.values where file >= 0 { closeDescriptor(file) }
    }

    func run(_ mailbox: Mailbox<RTPDump.Chunk>, _ doorbell: Doorbell) {
        var chunks: [RTPDump.Chunk] = []
        var isOpen = true
        while isOpen {
            _ = unsafe clinux_wait_readable([doorbell.descriptor], 1, -1)
            doorbell.answer()
            isOpen = mailbox.take(into: &chunks)
            for chunk in chunks { write(chunk) }
            chunks.removeAll(keepingCapacity: true)
        }
    }

    private func write(_ chunk: RTPDump.Chunk) {
        let file = file(of: chunk)
        if file >= 0, !write(chunk.bytes, to: file) {
            logger.warning(
                "recording ends: cannot write", metadata: ["file": .string(chunk.name), "reason": .string(reason)])
            closeDescriptor(file)
            files[chunk.endpoint] = -1
        }
        switch chunk.ending {
        case .none: return
        case .complete: break
        case .full: logger.warning("recording ends: its file is full", metadata: ["file": .string(chunk.name)])
        case .overrun: logger.warning("recording ends: the disk is too slow", metadata: ["file": .string(chunk.name)])
        }
        if let open = files.removeValue(forKey: chunk.endpoint), open >= 0 { closeDescriptor(open) }
    }

    /// -1: could not be opened or written, which was logged once.
    private func file(of chunk: RTPDump.Chunk) -> Int32 {
        if let known = files[chunk.endpoint] { return known }
        let file = unsafe openat(folder, chunk.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        if file < 0 {
            logger.warning(
                "not recorded: cannot make the file",
                metadata: ["file": .string(chunk.name), "reason": .string(reason)])
        }
        files[chunk.endpoint] = file
        return file
    }

    private var reason: String { SystemCallError.text(of: errno) }

    private func write(_ bytes: [UInt8], to file: Int32) -> Bool {
        unsafe bytes.withUnsafeBytes { buffer in
            var start = 0
            while start < buffer.count {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[start...])
                let count = unsafe Glibc.write(file, rest.baseAddress, rest.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return false }
                start += count
            }
            return true
        }
    }
}
