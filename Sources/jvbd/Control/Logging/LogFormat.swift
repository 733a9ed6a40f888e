// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One line per event on standard output: `time level module: message key=value`, with network addresses redacted by
/// type.

import Glibc
import ICE
import Logging
import Synchronization

/// A network address in a log line; shown in full only with `JVB_LOG_ADDRESSES=1`.
struct LoggedAddress: Sendable, CustomStringConvertible {
    let full: String
    /// Enough to tell networks apart, not people.
    let description: String

    init(_ address: TransportAddress) {
        full = "\(address)"
        description = "\(address.ip.redacted):\(address.port)"
    }
}

extension Logger.MetadataValue {
    static func address(_ address: TransportAddress) -> Self { .stringConvertible(LoggedAddress(address)) }
    static func count(_ number: Int) -> Self { .stringConvertible(number) }
}

/// How lines look; apart from where they go, so that it can be tested.
struct LogFormat: Sendable {
    var showsAddresses = false

    func line(
        time: String, level: Logger.Level, module: String, message: String, metadata: Logger.Metadata
    ) -> String {
        var line = "\(time) \(level.rawValue) \(module): \(LogFormat.oneLine(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(key)=\(quoted(text(value)))"
        }
        return line
    }

    private func text(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): return text
        case .stringConvertible(let value):
            if showsAddresses, let address = value as? LoggedAddress { return address.full }
            return value.description
        case .array(let values): return values.map(text).joined(separator: ",")
        case .dictionary(let values):
            return values.sorted { $0.key < $1.key }.map { "\($0.key):\(text($0.value))" }.joined(separator: ",")
        }
    }

    private func quoted(_ text: String) -> String {
        let plain = !text.isEmpty && !text.contains { $0 == " " || $0 == "\"" || $0.isNewline }
        if plain { return LogFormat.oneLine(text) }
        return "\"\(LogFormat.oneLine(text).replacingQuotes())\""
    }

    /// What came from the network may hold line breaks and control characters; a log line may not.
    static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else { return text }
        var clean = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            clean.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
        }
        return String(clean)
    }
}

extension String {
    fileprivate func replacingQuotes() -> String {
        var text = ""
        for character in self {
            if character == "\"" || character == "\\" { text.append("\\") }
            text.append(character)
        }
        return text
    }
}

/// Where lines go: standard output and, if asked for, a file as well.
struct LogOutput: Sendable {
    private let file: Int32?

    /// - Parameter path: appended to; nil when it cannot be opened.
    init?(file path: String?) {
        guard let path else {
            file = nil
            return
        }
        let descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { return nil }
        file = descriptor
    }

    /// One write per line, so that lines of several threads do not mix.
    func write(_ line: String) {
        var bytes = Array(line.utf8)
        bytes.append(UInt8(ascii: "\n"))
        for descriptor in [STDOUT_FILENO, file].compactMap({ $0 }) {
            var start = 0
            while start < bytes.count {
                let count = unsafe bytes.withUnsafeBytes { buffer in
                    let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[start...])
                    return unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
                }
                guard count > 0 else { break }
                start += count
            }
        }
    }
}

/// swift-log's view of the two above.
struct LineLogHandler: LogHandler {
    let module: String
    let format: LogFormat
    let output: LogOutput
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: Logging.LogEvent) {
        var all = metadata
        if let more = event.metadata { all.merge(more) { _, new in new } }
        output.write(
            format.line(
                time: WallClock.logTimestamp(), level: event.level, module: module, message: event.message.description,
                metadata: all))
    }

    /// Makes every `Logger` of the process write through this handler. To be called once, before the first logger.
    static func install(_ configuration: Configuration) {
        let file = LogOutput(file: configuration.logFile)
        guard let output = file ?? LogOutput(file: nil) else { return }
        let format = LogFormat(showsAddresses: configuration.logsAddresses)
        let level = configuration.logLevel
        LoggingSystem.bootstrap { label in
            LineLogHandler(module: label, format: format, output: output, logLevel: level)
        }
        if file == nil, let path = configuration.logFile {
            Logger(label: "Logging").warning("cannot open JVB_LOG_FILE", metadata: ["path": .string(path)])
        }
    }
}
