// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CNice
import RTP

@testable import ICE

/// libnice's STUN endpoint with Swift's types.
@safe final class LibniceSTUN {
    private let stun: OpaquePointer

    init(username: String, password: String, peerPassword: String) throws {
        guard let made = unsafe cnice_stun_new(username, password, peerPassword) else {
            throw BadTestInput(text: username)
        }
        unsafe stun = made
    }

    deinit { unsafe cnice_stun_free(stun) }

    // MARK: Writing

    /// One attribute of a message to be written.
    enum Attribute: Hashable {
        case bytes(UInt16, [UInt8])
        case number32(STUNAttribute, UInt32)
        case number64(STUNAttribute, UInt64)
        case flag(STUNAttribute)
        case xorAddress(TransportAddress)
    }

    func request(_ id: STUNTransactionID, _ attributes: [Attribute]) -> [UInt8] {
        var transaction = [UInt8]()
        transaction.appendBigEndian(id.tag)
        transaction.appendBigEndian(id.nonce)
        return unsafe cnice_stun_begin_request(stun, transaction) ? finish(attributes) : []
    }

    /// To the request that was validated last; empty when libnice refuses.
    func response(_ attributes: [Attribute]) -> [UInt8] {
        unsafe cnice_stun_begin_response(stun) ? finish(attributes) : []
    }

    func error(_ code: UInt16, _ attributes: [Attribute] = []) -> [UInt8] {
        unsafe cnice_stun_begin_error(stun, Int32(code)) ? finish(attributes) : []
    }

    private func finish(_ attributes: [Attribute]) -> [UInt8] {
        guard attributes.allSatisfy(append) else { return [] }
        var bytes = [UInt8](repeating: 0, count: 2048)
        let length = unsafe cnice_stun_finish(stun, &bytes, bytes.count)
        return Array(bytes.prefix(length))
    }

    private func append(_ attribute: Attribute) -> Bool {
        switch attribute {
        case .bytes(let type, let value): return unsafe cnice_stun_add_bytes(stun, type, value, value.count)
        case .number32(let type, let value): return unsafe cnice_stun_add_32(stun, type.rawValue, value)
        case .number64(let type, let value): return unsafe cnice_stun_add_64(stun, type.rawValue, value)
        case .flag(let type): return unsafe cnice_stun_add_flag(stun, type.rawValue)
        case .xorAddress(let address):
            var value = cnice_address(address)
            return unsafe cnice_stun_add_xor_address(stun, STUNAttribute.xorMappedAddress.rawValue, &value)
        }
    }

    // MARK: Reading

    func validate(_ bytes: [UInt8]) -> cnice_validity { unsafe cnice_stun_validate(stun, bytes, bytes.count) }

    var messageClass: STUNMessage.Class? { unsafe STUNMessage.Class(rawValue: UInt8(cnice_stun_class(stun))) }
    var method: UInt16 { unsafe UInt16(cnice_stun_method(stun)) }

    var transactionID: STUNTransactionID {
        var bytes = [UInt8](repeating: 0, count: 12)
        unsafe cnice_stun_transaction(stun, &bytes)
        return STUNTransactionID(tag: bytes.span.bigEndian32(at: 0), nonce: bytes.span.bigEndian64(at: 4))
    }

    func bytes(_ type: STUNAttribute) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 1024)
        var length = 0
        let found = unsafe cnice_stun_get_bytes(stun, type.rawValue, &bytes, bytes.count, &length)
        return found ? Array(bytes.prefix(length)) : nil
    }

    func number32(_ type: STUNAttribute) -> UInt32? {
        var value: UInt32 = 0
        return unsafe cnice_stun_get_32(stun, type.rawValue, &value) ? value : nil
    }

    func number64(_ type: STUNAttribute) -> UInt64? {
        var value: UInt64 = 0
        return unsafe cnice_stun_get_64(stun, type.rawValue, &value) ? value : nil
    }

    func flag(_ type: STUNAttribute) -> Bool { unsafe cnice_stun_get_flag(stun, type.rawValue) }

    var xorMappedAddress: TransportAddress? {
        var value = cnice_address()
        let type = STUNAttribute.xorMappedAddress.rawValue
        return unsafe cnice_stun_get_xor_address(stun, type, &value) ? value.transportAddress : nil
    }

    var errorCode: UInt16? {
        var code: Int32 = 0
        return unsafe cnice_stun_get_error(stun, &code) ? UInt16(code) : nil
    }
}

/// A libnice agent on one local address.
@safe final class LibniceAgent {
    private let agent: OpaquePointer

    init(_ role: ICERole, at ip: IPAddress) throws {
        guard let made = unsafe cnice_agent_new(role == .controlling, ip.description) else {
            throw BadTestInput(text: ip.description)
        }
        unsafe agent = made
    }

    deinit { unsafe cnice_agent_free(agent) }

    func credentials() throws -> ICECredentials {
        var ufrag = [CChar](repeating: 0, count: 257)
        var pwd = ufrag
        guard unsafe cnice_agent_credentials(agent, &ufrag, &pwd, 257),
            let fragment = UsernameFragment(rawValue: text(ufrag)), let password = ICEPassword(rawValue: text(pwd))
        else { throw BadTestInput(text: "credentials of libnice") }
        return ICECredentials(ufrag: fragment, pwd: password)
    }

    private func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    func candidates() throws -> [Candidate] {
        var found = [cnice_candidate](repeating: cnice_candidate(), count: 8)
        let count = unsafe cnice_agent_candidates(agent, &found, found.count)
        return try found.prefix(count).enumerated().map { index, candidate in
            guard let address = candidate.address.transportAddress else { throw BadTestInput(text: "candidate") }
            return Candidate(
                foundation: "\(index)", priority: candidate.priority, address: address, kind: .host, id: "\(index)")
        }
    }

    func setRemote(_ credentials: ICECredentials, at addresses: [TransportAddress]) -> Bool {
        guard unsafe cnice_agent_set_remote(agent, credentials.ufrag.rawValue, credentials.pwd.rawValue) else {
            return false
        }
        return addresses.enumerated().allSatisfy { index, address in
            var candidate = cnice_candidate()
            candidate.address = cnice_address(address)
            candidate.priority = Candidate.priority(.host, localPreference: 65535 - UInt16(index))
            candidate.kind = CNICE_HOST
            candidate.foundation.0 = 0x31
            return unsafe cnice_agent_add_remote(agent, &candidate)
        }
    }

    /// Does what is due and takes a datagram that is not STUN.
    func receive() -> (bytes: [UInt8], from: TransportAddress)? {
        var bytes = [UInt8](repeating: 0, count: 2048)
        var from = cnice_address()
        let length = unsafe cnice_agent_receive(agent, &bytes, bytes.count, &from)
        guard length > 0, let address = from.transportAddress else { return nil }
        return (Array(bytes.prefix(length)), address)
    }

    func send(_ bytes: [UInt8]) -> Bool { unsafe cnice_agent_send(agent, bytes, bytes.count) }

    var state: cnice_state { unsafe cnice_agent_state(agent) }

    var selected: (local: TransportAddress, remote: TransportAddress)? {
        var local = cnice_address()
        var remote = cnice_address()
        guard unsafe cnice_agent_selected(agent, &local, &remote), let local = local.transportAddress,
            let remote = remote.transportAddress
        else { return nil }
        return (local, remote)
    }
}

extension cnice_address {
    init(_ address: TransportAddress) {
        self.init()
        port = address.port
        let text = Array(address.ip.description.utf8)
        unsafe withUnsafeMutableBytes(of: &ip) { unsafe $0.copyBytes(from: text.prefix(47)) }
    }

    var transportAddress: TransportAddress? {
        var copy = ip
        let text = unsafe withUnsafeBytes(of: &copy) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return IPAddress(text).map { TransportAddress(ip: $0, port: port) }
    }
}
