// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which addresses media uses and which of them endpoints are told: those of this machine, those that the operator says a NAT maps
/// to it, and those that STUN servers saw.

import Bridge
import ICE

struct MediaAddresses: Sendable {
    /// What can be sent from, one per local address.
    let bases: [LocalBase]
    /// What endpoints are told without discovery.
    let candidates: [AdvertisedCandidate]
    /// The address by which this machine reaches others, as far as it has one.
    let outward: IPAddress

    init(_ configuration: Configuration, port: UInt16, isDualStack: Bool, includesLoopback: Bool) {
        let wanted = Set(configuration.bindAddresses)
        let local = LocalAddress.all(includeLoopback: includesLoopback || wanted.contains(where: \.isLoopback))
            .map(\.address).filter { (isDualStack || !$0.isIPv6) && (wanted.isEmpty || wanted.contains($0)) }
        bases = local.map { LocalBase(socket: 0, address: TransportAddress(ip: $0, port: port)) }
        var list = bases.map { AdvertisedCandidate(address: $0.address, kind: .host) }
        for advertised in configuration.advertised {
            // A NAT maps within a family; the first address of it is the one that routes out.
            guard
                let base = bases.first(where: {
                    $0.address.ip.isIPv6 == advertised.address.isIPv6 && !$0.address.ip.isLoopback
                })
                    ?? bases.first(where: { $0.address.ip.isIPv6 == advertised.address.isIPv6 })
            else { continue }
            let address = TransportAddress(ip: advertised.address, port: advertised.port ?? port)
            guard address != base.address, !list.contains(where: { $0.address == address }) else { continue }
            list.append(AdvertisedCandidate(address: address, kind: .mapped(base: base.address)))
        }
        candidates = list
        outward = local.first { !$0.isLoopback && !$0.isIPv6 } ?? local.first ?? .v4(0x7F00_0001)
    }

    /// The same with what discovery found; configured mappings stay first.
    func candidates(adding outcome: AddressDiscovery.Outcome) -> [AdvertisedCandidate] {
        var list = candidates
        for mapping in outcome.mappings {
            guard let base = bases.first(where: { $0.address.ip == mapping.local }) else { continue }
            let address = TransportAddress(ip: mapping.mapped, port: base.address.port)
            guard !list.contains(where: { $0.address == address }) else { continue }
            list.append(AdvertisedCandidate(address: address, kind: .mapped(base: base.address)))
        }
        return list
    }
}

extension Configuration {
    /// What precedes the conference in the URLs of the colibri WebSocket; empty when there is none.
    func webSocketPrefixes(address: IPAddress) -> [String] {
        guard let webSocket else { return [] }
        let scheme = webSocket.tls ? "wss" : "ws"
        let server = webSocket.serverID ?? "\(address)"
        return webSocket.domains.map { "\(scheme)://\($0)/colibri-ws/\(server)" }
    }
}
