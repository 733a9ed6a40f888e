// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// One DTLS 1.2 association with DTLS-SRTP (RFC 6347, RFC 5764, RFC 8842) that never touches a socket.
///
/// Datagrams go in by `receive`, come out by `takeDatagram`. Whoever drives it also calls `timeout(now:)` when
/// `timeUntilRetransmission` is over; that timer runs on OpenSSL's clock. Belongs to one thread, that of its context.
public final class DTLSSession {
    /// Where an association stands.
    public enum State: Hashable, Sendable {
        /// The role is not known yet.
        case new
        /// In the handshake, or waiting for the fingerprint to hold against the peer's certificate.
        case handshaking
        /// The handshake is complete and the peer is who signalling said.
        case connected
        case failed(DTLSError)
        /// By us or by the peer.
        case closed
    }

    /// What was thrown away, by cause.
    public struct Drops: Hashable, Sendable {
        /// Datagrams that cannot be DTLS or came when nothing was expected.
        public var datagrams: UInt64 = 0
        /// Application data beyond the queue.
        public var applicationData: UInt64 = 0
    }

    /// Profiles in our order of preference; as server the first that the client has, too, is taken.
    public static let defaultProfiles: [ProtectionProfile] = [.aeadAES128GCM, .aes128CMHMACSHA1_80, .aeadAES256GCM]
    /// Time after which a flight is sent again at first, unless told otherwise.
    public static let defaultRetransmission = Interval.milliseconds(250)
    /// Longest datagram that is looked at, bytes.
    public static let maximumDatagramLength = 2048
    /// Packets of application data that wait to be taken.
    public static let applicationDataLimit = 100
    /// Datagrams that wait for the role to be known; a peer sends its flight again.
    static let earlyDatagramLimit = 8
    /// Datagrams that may wait to be sent before application data is refused.
    static let outgoingLimit = 192
    /// Header 13, explicit nonce 8, tag 16: what AES-GCM adds to a record (RFC 5288); ChaCha20 adds less.
    static let recordOverhead = 37
    /// The handshake fails when its timer still runs this long after it first ran out.
    static let handshakeLimit = Interval.seconds(30)

    public private(set) var state = State.new
    /// Nil before `start`.
    public private(set) var role: DTLSRole?
    /// From `connected` on.
    public private(set) var keys: DTLSSRTPKeys?
    public private(set) var drops = Drops()
    /// Longest payload that `send` takes, bytes.
    public let maximumApplicationDataLength: Int

    private let association: DTLSAssociation
    private var handshakeComplete = false
    private var remoteFingerprints: [Fingerprint] = []
    private var earlyDatagrams: [[UInt8]] = []
    private var applicationData: [[UInt8]] = []
    private var firstTimeout: Instant?

    /// - Parameters:
    ///   - context: of the same thread.
    ///   - profiles: what to negotiate, preferred first; not empty.
    ///   - mtu: longest datagram that we send, 256...1472 bytes of UDP payload.
    ///   - firstRetransmission: 20 ms...60 s after which a flight is sent again at first, doubled each time up to 60 s.
    ///     The second of RFC 6347 section 4.2.4.1 would be a second of silence in a call; Chromium begins with 50 ms.
    /// - Throws: `.configuration`
    public init(
        context: DTLSContext, profiles: [ProtectionProfile] = DTLSSession.defaultProfiles, mtu: Int = 1200,
        firstRetransmission: Interval = DTLSSession.defaultRetransmission
    ) throws(DTLSError) {
        guard !profiles.isEmpty, Set(profiles).count == profiles.count else { throw .configuration("profiles") }
        guard (256...1472).contains(mtu) else { throw .configuration("MTU") }
        guard (.milliseconds(20)...Interval.seconds(60)).contains(firstRetransmission) else {
            throw .configuration("retransmission time")
        }
        association = try DTLSAssociation(
            context: context, profiles: profiles.map(\.openSSLName).joined(separator: ":"), mtu: mtu,
            firstRetransmission: firstRetransmission)
        maximumApplicationDataLength = mtu - Self.recordOverhead
    }

    /// A session with a context of its own.
    public convenience init(
        identity: DTLSIdentity, profiles: [ProtectionProfile] = DTLSSession.defaultProfiles, mtu: Int = 1200,
        firstRetransmission: Interval = DTLSSession.defaultRetransmission
    ) throws(DTLSError) {
        try self.init(
            context: DTLSContext(identity: identity), profiles: profiles, mtu: mtu,
            firstRetransmission: firstRetransmission)
    }

    // MARK: Handshake

    /// Begins; a client's first flight can be taken at once. Without effect when called again.
    public func start(role: DTLSRole) {
        guard state == .new else { return }
        self.role = role
        state = .handshaking
        association.start(role: role)
        if role == .client { handshake(Span()) }
        let early = earlyDatagrams
        earlyDatagrams = []
        for datagram in early { receive(datagram.span) }
    }

    /// What signalling says about the peer's certificate. An empty list changes nothing, and neither does one that
    /// comes when the peer is verified already.
    public func setRemoteFingerprints(_ fingerprints: [Fingerprint]) {
        guard !fingerprints.isEmpty, keys == nil else { return }
        remoteFingerprints = fingerprints
        verifyPeer()
    }

    /// - Parameter datagram: any bytes whose first one RFC 7983 gives to DTLS.
    public func receive(_ datagram: Span<UInt8>) {
        let length = datagram.count > Self.maximumDatagramLength ? 0 : DTLSRecord.plausiblePrefix(of: datagram)
        guard length > 0 else {
            drops.datagrams += 1
            return
        }
        let records = datagram.extracting(0..<length)
        switch state {
        case .new:
            guard earlyDatagrams.count < Self.earlyDatagramLimit else {
                drops.datagrams += 1
                return
            }
            var copy: [UInt8] = []
            copy.reserveCapacity(length)
            for index in records.indices { copy.append(records[index]) }
            earlyDatagrams.append(copy)
        case .handshaking, .connected:
            if handshakeComplete { read(records) } else { handshake(records) }
        case .failed, .closed:
            drops.datagrams += 1
        }
    }

    private func handshake(_ datagram: Span<UInt8>) {
        switch association.handshake(datagram) {
        case .waiting: break
        case .closed: state = .failed(.closedDuringHandshake)
        case .failed(let error): state = .failed(error)
        case .done:
            handshakeComplete = true
            guard association.profile != nil else { return abandon(.noProtectionProfile) }
            verifyPeer()
            // The peer's first data may stand behind its Finished in the same datagram, or have overtaken it.
            read(Span())
        }
    }

    /// RFC 8122 section 5: among the hashes for which any fingerprint was signalled the strongest one decides.
    private func verifyPeer() {
        guard state == .handshaking, handshakeComplete, let hash = remoteFingerprints.map(\.hash).max() else { return }
        guard let fingerprint = association.peerFingerprint(hash), remoteFingerprints.contains(fingerprint) else {
            return abandon(.fingerprintMismatch)
        }
        guard let keys = exportKeys() else { return abandon(.handshake("no keys")) }
        self.keys = keys
        state = .connected
    }

    private func exportKeys() -> DTLSSRTPKeys? {
        guard let role, let profile = association.profile,
            let exported = association.exportKeys(
                label: DTLSSRTPKeys.exporterLabel, count: DTLSSRTPKeys.exportedLength(profile))
        else { return nil }
        return DTLSSRTPKeys(profile: profile, exported: exported, role: role)
    }

    // MARK: Timer

    /// Time until `timeout(now:)` has something to do; nil when no flight of ours waits for an answer.
    public var timeUntilRetransmission: Interval? {
        guard state == .handshaking, !handshakeComplete else { return nil }
        return association.timeUntilRetransmission
    }

    /// Sends the last flight again if it is time. Too early a call does no harm.
    public func timeout(now: Instant) {
        guard state == .handshaking, !handshakeComplete else { return }
        do throws(DTLSError) {
            guard try association.retransmit() else { return }
        } catch {
            state = .failed(error)
            return
        }
        if let firstTimeout, now - firstTimeout >= Self.handshakeLimit {
            state = .failed(.timedOut)
        } else if firstTimeout == nil {
            firstTimeout = now
        }
    }

    // MARK: Application data

    /// Sends one packet, of SCTP for instance. False: not connected, empty, longer than `maximumApplicationDataLength`,
    /// or too many datagrams wait already.
    public func send(application bytes: Span<UInt8>) -> Bool {
        guard state == .connected, (1...maximumApplicationDataLength).contains(bytes.count),
            association.outgoingCount < Self.outgoingLimit
        else { return false }
        return association.write(bytes)
    }

    /// The oldest packet that has come from the verified peer.
    public func takeApplicationData() -> [UInt8]? {
        keys == nil || applicationData.isEmpty ? nil : applicationData.removeFirst()
    }

    private func read(_ datagram: Span<UInt8>) {
        guard state == .handshaking || state == .connected else { return }
        let progress = association.read(datagram) { packet in
            if applicationData.count < Self.applicationDataLimit {
                applicationData.append(packet)
            } else {
                drops.applicationData += 1
            }
        }
        switch progress {
        case .waiting, .done: break
        case .failed(let error): state = .failed(error)
        case .closed:
            association.shutDown()
            state = keys == nil ? .failed(.closedDuringHandshake) : .closed
        }
    }

    // MARK: Outgoing

    /// The oldest datagram to be sent, at most an MTU long. Also to be asked after `close` and after a failure: there
    /// may be an alert for the peer.
    public func takeDatagram() -> [UInt8]? { association.takeDatagram() }

    /// Datagrams of ours that were thrown away because nobody took them in time.
    public var outgoingOverflows: UInt64 { association.outgoingOverflows }

    // MARK: End

    /// Ends the association and tells the peer, if there is one. Application data that has come can still be taken.
    public func close() {
        switch state {
        case .failed, .closed: return
        case .new, .handshaking, .connected:
            if handshakeComplete { association.shutDown() }
            state = .closed
        }
    }

    private func abandon(_ error: DTLSError) {
        association.shutDown()
        state = .failed(error)
    }

    // MARK: Facts for logs, statistics and tests

    /// Name of the cipher suite, as OpenSSL spells it.
    public var cipherSuite: String? { handshakeComplete ? association.cipherSuite : nil }

    /// Whether the keys are bound to the whole handshake (RFC 7627).
    public var hasExtendedMasterSecret: Bool { handshakeComplete && association.hasExtendedMasterSecret }

    /// Application protocols of the ClientHello (RFC 7301), to be called before `start`.
    func offer(applicationProtocols names: [String]) -> Bool { association.offer(applicationProtocols: names) }
}

extension ProtectionProfile {
    var openSSLName: String {
        switch self {
        case .aes128CMHMACSHA1_80: "SRTP_AES128_CM_SHA1_80"
        case .aeadAES128GCM: "SRTP_AEAD_AES_128_GCM"
        case .aeadAES256GCM: "SRTP_AEAD_AES_256_GCM"
        }
    }
}
