// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CExpat

/// Push parser of an XMPP stream (RFC 6120 section 4): bytes in whatever pieces they come, complete stanzas out. What
/// XMPP forbids (section 11.1: DOCTYPE, entities, processing instructions) and what is too deep, too wide or too long
/// stops it; comments are skipped.
///
/// One object serves one stream; a restarted stream (after STARTTLS, after SASL) needs a new object.
@safe public final class XMLParser {
    /// What a stream may ask for.
    public struct Limits: Hashable, Sendable {
        /// Elements inside each other within a stanza, the stanza itself being the first.
        public var depth = 32
        /// Attributes of one element, namespace declarations included.
        public var attributes = 64
        /// Bytes of one stanza (or of the stream header): on the wire, and again as decoded elements in memory.
        public var stanzaBytes = 262_144
        /// Bytes after which expat is replaced at the end of a stanza. It never forgets a name that it has seen, so one
        /// parser for the life of a stream would let a peer that invents names fill the memory.
        public var renewalBytes = 1_048_576

        public init() {}
    }

    /// One step of the stream.
    public enum Event: Hashable, Sendable {
        /// The root element started; it has attributes, but no children.
        case streamOpened(XMLElement)
        /// A child of the root is complete.
        case stanza(XMLElement)
        /// The root element ended.
        case streamClosed
        /// The last event there is: nothing is parsed any more.
        case failed(XMLParserError)
    }

    /// An event and where it ended.
    public struct Output: Hashable, Sendable {
        public var event: Event
        /// Bytes of the same feed that stand behind the event.
        public var trailing: Int
    }

    private let limits: Limits
    private var expat: OpaquePointer?
    /// Bytes given to the parser so far.
    private var fed = 0
    /// Position in the stream of expat's byte 0; less than the bytes parsed by the header that a renewed expat is
    /// given.
    private var origin = 0
    private var chunkStart = 0
    /// Position up to which nothing unfinished is kept.
    private var settled = 0
    private var failure: XMLParserError?

    private var hasRoot = false
    private var isClosed = false
    private var isRenewing = false
    /// The wire bytes up to the end of the root's start tag, for the next expat.
    private var header: [UInt8] = []
    private var headerEnd: Int?

    /// The open elements of the stanza, outermost first.
    private var stack: [XMLElement] = []
    private var stanzaMemory = 0
    /// Namespace declarations of the element that is about to start.
    private var declarations = 0
    /// Namespace met last, kept so that the elements of a stanza share one string.
    private var recentNamespace = ""
    private var pending: [(event: Event, end: Int)] = []

    public init(limits: Limits = Limits()) {
        self.limits = limits
        unsafe expat = makeExpat()
    }

    deinit {
        if let expat = unsafe expat { unsafe XML_ParserFree(expat) }
    }

    /// Parses the bytes and returns what they completed, in order. After `failed` or `streamClosed` nothing more comes.
    public func feed(_ bytes: Span<UInt8>) -> [Output] {
        var offset = 0
        while offset < bytes.count, failure == nil, !isClosed {
            // Pieces, so that the limits are tested while a long feed is being parsed and not after it.
            let chunk = bytes.extracting(offset..<min(bytes.count, offset + 16_384))
            offset += chunk.count
            if !hasRoot { for index in chunk.indices { header.append(chunk[index]) } }
            chunkStart = fed
            fed += chunk.count
            let status = parse(chunk)
            if let end = headerEnd {
                header.removeLast(max(0, header.count - end))
                headerEnd = nil
            }
            if failure != nil || isClosed { break }
            if status == XML_STATUS_SUSPENDED {
                offset -= fed - settled
                fed = settled
                renew()
            } else if status != XML_STATUS_OK {
                fail(malformed())
            } else if fed - settled > limits.stanzaBytes {
                fail(.stanzaTooLong)
            }
        }
        let total = fed + bytes.count - offset
        let outputs = pending.map { Output(event: $0.event, trailing: max(0, total - $0.end)) }
        pending.removeAll(keepingCapacity: true)
        return outputs
    }

    // MARK: The expat object

    private func makeExpat() -> OpaquePointer? {
        // A line feed cannot occur in a name, and expat refuses it in a namespace URI, so it can separate the two.
        guard let expat = unsafe XML_ParserCreateNS("UTF-8", CChar(bitPattern: UInt8(ascii: "\n"))) else { return nil }
        unsafe jvbd_expat_parse_at_once(expat)
        unsafe XML_SetUserData(expat, Unmanaged.passUnretained(self).toOpaque())
        unsafe XML_SetElementHandler(expat, elementStarted, elementEnded)
        unsafe XML_SetCharacterDataHandler(expat, charactersFound)
        unsafe XML_SetStartNamespaceDeclHandler(expat, namespaceDeclared)
        unsafe XML_SetStartDoctypeDeclHandler(expat, doctypeStarted)
        unsafe XML_SetEntityDeclHandler(expat, entityDeclared)
        unsafe XML_SetProcessingInstructionHandler(expat, processingInstructionFound)
        return unsafe expat
    }

    private func parse(_ bytes: Span<UInt8>) -> XML_Status {
        guard let expat = unsafe expat else { return XML_STATUS_ERROR }
        return unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe buffer.withMemoryRebound(to: XML_Char.self) {
                unsafe XML_Parse(expat, $0.baseAddress, Int32(clamping: $0.count), 0)
            }
        }
    }

    /// Puts a fresh expat where the old one stands: between two stanzas, never inside a callback.
    private func renew() {
        if let expat = unsafe expat { unsafe XML_ParserFree(expat) }
        unsafe expat = makeExpat()
        origin = fed - header.count
        isRenewing = true
        let status = parse(header.span)
        isRenewing = false
        if status != XML_STATUS_OK { fail(malformed()) }
    }

    private func malformed() -> XMLParserError {
        guard let expat = unsafe expat else { return .outOfMemory }
        let code = unsafe XML_GetErrorCode(expat)
        return code == XML_ERROR_NO_MEMORY ? .outOfMemory : .malformed(code: UInt32(code.rawValue))
    }

    /// Position in the stream behind the token that expat is reporting.
    private func position() -> Int {
        guard let expat = unsafe expat else { return fed }
        let end = unsafe Int(XML_GetCurrentByteIndex(expat)) + Int(unsafe XML_GetCurrentByteCount(expat))
        return min(max(origin + end, settled), fed)
    }

    fileprivate func fail(_ error: XMLParserError) {
        guard failure == nil else { return }
        failure = error
        stack.removeAll()
        pending.append((.failed(error), fed))
        if let expat = unsafe expat { _ = unsafe XML_StopParser(expat, XML_Bool(XML_FALSE)) }
    }

    // MARK: What expat reports. It may go on calling after it has been stopped.

    fileprivate func declareNamespace() { declarations += 1 }

    fileprivate func start(
        _ name: UnsafePointer<XML_Char>, _ attributes: UnsafeMutablePointer<UnsafePointer<XML_Char>?>?
    ) {
        guard failure == nil, !isClosed, !isRenewing else {
            declarations = 0
            return
        }
        guard stack.count < limits.depth else { return fail(.tooDeep) }
        if stack.isEmpty { stanzaMemory = 0 }
        let (namespace, local) = unsafe split(name)
        var element = XMLElement(name: local, namespace: namespace, attributes: [])
        var memory = MemoryLayout<XMLElement>.stride + local.utf8.count
        if var attribute = unsafe attributes {
            var count = declarations
            while let name = unsafe attribute.pointee, let value = unsafe attribute.successor().pointee {
                count += 1
                guard count <= limits.attributes else { return fail(.tooManyAttributes) }
                let (namespace, local) = unsafe split(name)
                let text = unsafe string(bytes(of: value))
                memory += MemoryLayout<XMLElement.Attribute>.stride + local.utf8.count + text.utf8.count
                if namespace.isEmpty {
                    element.attributes.append(.init(name: local, value: text))
                } else if namespace == XMLParser.xmlPrefixNamespace {
                    element.attributes.append(.init(name: "xml:" + local, value: text))
                }
                unsafe attribute += 2
            }
            guard count <= limits.attributes else { return fail(.tooManyAttributes) }
        }
        declarations = 0
        guard charge(memory) else { return }
        if hasRoot {
            stack.append(element)
        } else {
            hasRoot = true
            settled = position()
            headerEnd = settled
            pending.append((.streamOpened(element), settled))
        }
    }

    fileprivate func end() {
        guard failure == nil, !isClosed, !isRenewing else { return }
        guard let element = stack.popLast() else {
            isClosed = true
            pending.append((.streamClosed, position()))
            return
        }
        guard stack.isEmpty else {
            stack[stack.count - 1].children.append(element)
            return
        }
        settled = position()
        pending.append((.stanza(element), settled))
        if settled - origin - header.count > limits.renewalBytes, settled >= chunkStart, let expat = unsafe expat {
            _ = unsafe XML_StopParser(expat, XML_Bool(XML_TRUE))
        }
    }

    fileprivate func characters(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard failure == nil, !isRenewing else { return }
        guard !stack.isEmpty else {
            // White space between stanzas keeps the connection alive and means nothing.
            settled = position()
            return
        }
        guard charge(bytes.count) else { return }
        stack[stack.count - 1].text += unsafe string(bytes)
    }

    private func charge(_ bytes: Int) -> Bool {
        stanzaMemory += bytes
        if stanzaMemory > limits.stanzaBytes { fail(.stanzaTooLong) }
        return failure == nil
    }

    /// Takes apart "URI LF local name".
    private func split(_ name: UnsafePointer<XML_Char>) -> (namespace: String, local: String) {
        let bytes = unsafe bytes(of: name)
        guard let separator = unsafe bytes.firstIndex(of: UInt8(ascii: "\n")) else { return ("", unsafe string(bytes)) }
        let uri = unsafe UnsafeBufferPointer(rebasing: bytes[..<separator])
        let local = unsafe string(UnsafeBufferPointer(rebasing: bytes[(separator + 1)...]))
        if let parent = stack.last?.namespace, unsafe parent.utf8.elementsEqual(uri) { return (parent, local) }
        if unsafe !recentNamespace.utf8.elementsEqual(uri) {
            recentNamespace = unsafe string(uri)
            stanzaMemory += uri.count
        }
        return (recentNamespace, local)
    }

    private static let xmlPrefixNamespace = "http://www.w3.org/XML/1998/namespace"
}

/// Why a stream cannot be parsed.
public enum XMLParserError: Error, Hashable, Sendable {
    /// Not well-formed; `code` is expat's `XML_Error`.
    case malformed(code: UInt32)
    case doctype
    case entityDeclaration
    case processingInstruction
    case tooDeep
    case tooManyAttributes
    case stanzaTooLong
    case outOfMemory
}

private func bytes(of text: UnsafePointer<XML_Char>) -> UnsafeBufferPointer<UInt8> {
    var count = 0
    while unsafe text[count] != 0 { count += 1 }
    return unsafe UnsafeBufferPointer(
        start: UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self), count: count)
}

private func string(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
    unsafe String(decoding: bytes, as: UTF8.self)
}

// MARK: Callbacks. C keeps their addresses, so they are plain functions; the parser itself is their user data. It is
// alive whenever they run, because they run only within `feed`.

private func parser(_ userData: UnsafeMutableRawPointer?) -> XMLParser? {
    unsafe userData.map { unsafe Unmanaged<XMLParser>.fromOpaque($0).takeUnretainedValue() }
}

private func elementStarted(
    _ userData: UnsafeMutableRawPointer?, _ name: UnsafePointer<XML_Char>?,
    _ attributes: UnsafeMutablePointer<UnsafePointer<XML_Char>?>?
) {
    guard let name = unsafe name else { return }
    unsafe parser(userData)?.start(name, attributes)
}

private func elementEnded(_ userData: UnsafeMutableRawPointer?, _ name: UnsafePointer<XML_Char>?) {
    unsafe parser(userData)?.end()
}

private func charactersFound(
    _ userData: UnsafeMutableRawPointer?, _ text: UnsafePointer<XML_Char>?, _ count: Int32
) {
    guard let text = unsafe text else { return }
    let start = unsafe UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
    unsafe parser(userData)?.characters(UnsafeBufferPointer(start: start, count: Int(count)))
}

private func namespaceDeclared(
    _ userData: UnsafeMutableRawPointer?, _ prefix: UnsafePointer<XML_Char>?, _ uri: UnsafePointer<XML_Char>?
) {
    unsafe parser(userData)?.declareNamespace()
}

private func doctypeStarted(
    _ userData: UnsafeMutableRawPointer?, _ name: UnsafePointer<XML_Char>?, _ systemID: UnsafePointer<XML_Char>?,
    _ publicID: UnsafePointer<XML_Char>?, _ hasInternalSubset: Int32
) {
    unsafe parser(userData)?.fail(.doctype)
}

private func entityDeclared(
    _ userData: UnsafeMutableRawPointer?, _ name: UnsafePointer<XML_Char>?, _ isParameterEntity: Int32,
    _ value: UnsafePointer<XML_Char>?, _ valueLength: Int32, _ base: UnsafePointer<XML_Char>?,
    _ systemID: UnsafePointer<XML_Char>?, _ publicID: UnsafePointer<XML_Char>?, _ notation: UnsafePointer<XML_Char>?
) {
    unsafe parser(userData)?.fail(.entityDeclaration)
}

private func processingInstructionFound(
    _ userData: UnsafeMutableRawPointer?, _ target: UnsafePointer<XML_Char>?, _ text: UnsafePointer<XML_Char>?
) {
    unsafe parser(userData)?.fail(.processingInstruction)
}
