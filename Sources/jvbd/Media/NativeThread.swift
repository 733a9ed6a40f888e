// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// A thread of the operating system's own, for work that blocks in the kernel and must never wait for a task pool.
final class NativeThread: Sendable {
    private let thread: Guarded<pthread_t?>

    /// Starts the thread.
    /// - Parameters:
    ///   - name: at most 15 bytes are shown by the system.
    ///   - processor: where to pin it; nil lets it roam. A pin that the kernel refuses is no error.
    init(name: String, processor: UInt32? = nil, _ body: @escaping @Sendable () -> Void) throws(SystemCallError) {
        var thread = pthread_t()
        let start = unsafe Unmanaged.passRetained(Start(name: name, processor: processor, body: body))
        let result = unsafe pthread_create(&thread, nil, runNativeThread, start.toOpaque())
        guard result == 0 else {
            unsafe start.release()
            throw SystemCallError("pthread_create", result: -result)
        }
        self.thread = Guarded(thread)
    }

    /// Waits for the thread to end. Only the first call waits.
    func join() {
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard let running else { return }
        _ = pthread_join(running, nil)
    }

    deinit {
        if let running = thread.withLock({ $0 }) { pthread_detach(running) }
    }
}

private final class Start: Sendable {
    let name: String
    let processor: UInt32?
    let body: @Sendable () -> Void

    init(name: String, processor: UInt32?, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.processor = processor
        self.body = body
    }
}

private func runNativeThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument = unsafe argument else { return nil }
    let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
    clinux_block_signals()
    unsafe String(start.name.prefix(15)).withCString { unsafe clinux_name_thread($0) }
    if let processor = start.processor { _ = clinux_pin_thread(processor) }
    start.body()
    return nil
}
