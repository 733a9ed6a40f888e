// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The bridge channel of a conference: what clients say, and what they are told without asking.

import Colibri
import RTP

extension Conference {
    /// What a client is told when its channel opens, in JVB's order.
    func channelOpened(by endpoint: Endpoint, _ transport: ChannelTransport, now: Instant) {
        endpoint.openChannels.insert(transport)
        endpoint.channel = transport
        shard.log(
            .info, "bridge channel open", endpoint, [("transport", .text(transport == .sctp ? "sctp" : "websocket"))])
        // JVB greets on the WebSocket only.
        if transport == .webSocket { shard.send(.serverHello(version: nil), to: endpoint) }
        endpoint.toldIdealHeight = nil
        for source in endpoint.sources where source.kind == .video { sendSenderConstraints(of: source) }
        announceForwarded(to: endpoint)
        for other in endpoints where !other.isReachable {
            shard.send(.endpointConnectivityStatus(endpoint: other.id, active: false), to: endpoint)
        }
        if let message = speakerMessage() { shard.send(message, to: endpoint) }
        needsAllocation = true
    }

    func channelClosed(by endpoint: Endpoint, _ transport: ChannelTransport) {
        endpoint.openChannels.remove(transport)
        if endpoint.channel == transport { endpoint.channel = endpoint.openChannels.first }
    }

    /// Handles one message of a client; malformed ones are counted and nothing else happens.
    func receive(_ text: [UInt8], from endpoint: Endpoint, on transport: ChannelTransport, now: Instant) {
        shard.statistics.channelMessagesReceived += 1
        // The bridge answers where it was last spoken to.
        if endpoint.openChannels.contains(transport) { endpoint.channel = transport }
        let message: BridgeChannelMessage.FromClient
        do throws(BridgeChannelError) {
            message = try BridgeChannelMessage.FromClient(parsing: text.span)
        } catch {
            shard.statistics.count(.channelMessageMalformed)
            return
        }
        switch message {
        case .clientHello: shard.send(.serverHello(version: nil), to: endpoint)
        case .receiverVideoConstraints(let constraints):
            endpoint.constraints.apply(constraints)
            needsAllocation = true
        case .lastNChanged(let lastN):
            endpoint.constraints.apply(lastN: lastN)
            needsAllocation = true
        case .sourceVideoType(let name, let type): setVideoType(type, of: name, from: endpoint)
        case .videoType(let type):
            if let source = endpoint.sources.first(where: { $0.kind == .video }) {
                setVideoType(type, of: source.name, from: endpoint)
            }
        case .receiverAudioSubscription(let subscription):
            endpoint.audioSubscription = subscription
            needsAllocation = true
        case .endpointMessage(let message):
            pass(.endpointMessage(message.stamped(from: endpoint.id)), to: message.to, from: endpoint)
        case .endpointStats(let stats): pass(.endpointStats(stats.stamped(from: endpoint.id)), to: "", from: endpoint)
        case .unknown: shard.statistics.count(.channelMessageUnknown)
        }
    }

    private func setVideoType(_ type: VideoType, of name: String, from endpoint: Endpoint) {
        guard let source = endpoint.sources.first(where: { $0.name == name }) else { return }
        source.videoType = type
        needsAllocation = true
    }

    /// Messages of visitors are not passed on, as in JVB.
    private func pass(_ message: BridgeChannelMessage.ToClient, to addressee: String, from sender: Endpoint) {
        guard !sender.isVisitor else { return }
        for receiver in endpoints where receiver !== sender && (addressee.isEmpty || receiver.id == addressee) {
            shard.send(message, to: receiver)
        }
    }

    // MARK: Speakers

    private func speakerMessage() -> BridgeChannelMessage.ToClient? {
        guard let dominant = speakers.dominant else { return nil }
        return .dominantSpeaker(endpoint: dominant, previousSpeakers: speakers.previous, silence: false)
    }

    func announceSpeaker() {
        guard let message = speakerMessage() else { return }
        for receiver in endpoints { shard.send(message, to: receiver) }
    }

    /// Says who went silent altogether (8 s without media or answered check, 15 s at the start) and who is back.
    func watchConnectivity(now: Instant) {
        for endpoint in endpoints {
            let silent = now - endpoint.transport.lastHeard
            let limit: Interval = endpoint.outputs == nil ? .seconds(15) : .seconds(8)
            let reachable = silent <= limit
            guard reachable != endpoint.isReachable else { continue }
            endpoint.isReachable = reachable
            guard !endpoint.isVisitor else { continue }
            for receiver in endpoints {
                shard.send(.endpointConnectivityStatus(endpoint: endpoint.id, active: reachable), to: receiver)
            }
        }
    }
}
