// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// SIGTERM, SIGINT and SIGHUP as values, in place of the sudden end that they are otherwise.

import Dispatch
import Glibc

struct TerminationSignals {
    /// Signal numbers, as they arrive.
    let stream: AsyncStream<Int32>
    private let sources: [any DispatchSourceSignal]

    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        self.stream = stream
        // A peer that closes its socket is an error of write(2), no reason to die.
        _ = signal(SIGPIPE, SIG_IGN)
        sources = [SIGTERM, SIGINT, SIGHUP].map { number in
            _ = signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { continuation.yield(number) }
            source.resume()
            return source
        }
    }
}
