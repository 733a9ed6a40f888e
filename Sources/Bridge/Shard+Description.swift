// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// How a shard describes an endpoint's transport to the focus (COLIBRI2 `transport` of a reply).

import Colibri
import DTLS
import ICE

extension Shard {
    func describeTransport(of endpoint: Endpoint) -> TransportModified {
        guard let ice = endpoint.transport.ice else { return TransportModified() }
        let credentials = ice.localCredentials
        let description = ICETransportDescription(
            ufrag: credentials.ufrag, pwd: credentials.pwd,
            generation: ice.generation > 0 ? Int(ice.generation) : nil, rtcpMux: true,
            fingerprints: [.init(fingerprint: fingerprint, setup: endpoint.transport.setup)],
            webSockets: configuration.webSocketPrefixes.map {
                "\($0)/\(endpoint.conference.id)/\(endpoint.id)?pwd=\(endpoint.channelPassword)"
            },
            candidates: candidates(for: endpoint, generation: ice.generation))
        return TransportModified(ice: description, sctp: endpoint.wantsSCTP ? .server : nil)
    }

    private func candidates(for endpoint: Endpoint, generation: UInt32) -> [Candidate] {
        let showsPrivate = configuration.advertisesPrivateCandidates || endpoint.privateCandidatesAllowed
        let hosts = configuration.candidates.count { $0.kind == .host }
        var list: [Candidate] = []
        for (place, advertised) in configuration.candidates.enumerated() {
            var kind = CandidateKind.host
            var related: TransportAddress?
            if case .mapped(let base) = advertised.kind {
                kind = .serverReflexive
                // A private base is not told either: 0.0.0.0:9 stands for it, as in JVB.
                related = showsPrivate || !base.ip.isPrivate ? base : TransportAddress(ip: .v4(0), port: 9)
            } else if !showsPrivate, advertised.address.ip.isPrivate {
                continue
            }
            let preference = Candidate.localPreference(of: advertised.address.ip, isOnly: hosts == 1)
            list.append(
                Candidate(
                    foundation: String(place + 1), component: 1, transport: .udp,
                    priority: Candidate.priority(kind, localPreference: preference), address: advertised.address,
                    kind: kind, related: related, generation: generation,
                    id: "\(credentialsPrefix(endpoint))\(place + 1)",
                    network: 0, tcpType: nil))
        }
        return list
    }

    /// Candidate ids need only differ; the handle makes them differ between endpoints as well.
    private func credentialsPrefix(_ endpoint: Endpoint) -> String {
        "c" + String(endpoint.handle.rawValue, radix: 16) + "x"
    }
}
