// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// RTCP of one endpoint: what it reports about itself, what it misses, and what the bridge reports back.

import RTP

extension Conference {
    /// Handles one decrypted compound. A part that does not parse is counted; the others still count.
    func receiveRTCP(_ packet: Span<UInt8>, from endpoint: Endpoint, now: Instant) {
        do throws(ParseError) {
            var compound = try RTCPCompound(parsing: packet)
            while let block = compound.next() {
                do throws(ParseError) {
                    try handle(block, in: packet, from: endpoint, now: now)
                } catch {
                    shard.statistics.count(.rtcpMalformed)
                }
            }
        } catch {
            shard.statistics.count(.rtcpMalformed)
        }
    }

    private func handle(
        _ block: RTCPBlock, in packet: Span<UInt8>, from endpoint: Endpoint, now: Instant
    ) throws(ParseError) {
        switch (block.type, block.count) {
        case (.senderReport, _):
            let report = try SenderReport(block, in: packet)
            note(report.reports, in: packet, from: endpoint, now: now)
            forward(report, from: endpoint, now: now)
        case (.receiverReport, _):
            note(try ReceiverReport(block, in: packet).reports, in: packet, from: endpoint, now: now)
        case (.transportFeedback, RTCPFeedbackFormat.genericNACK):
            var nack = try GenericNACK(block, in: packet)
            while let lost = nack.next(in: packet) { answer(lost, on: nack.media, for: endpoint, now: now) }
        case (.payloadFeedback, RTCPFeedbackFormat.pictureLossIndication):
            requestKeyframe(of: try PictureLossIndication(block, in: packet).media, for: endpoint, now: now)
        case (.payloadFeedback, RTCPFeedbackFormat.fullIntraRequest):
            let request = try FullIntraRequest(block, in: packet)
            for i in 0..<request.count {
                if let entry = request.entry(i, in: packet) { requestKeyframe(of: entry.ssrc, for: endpoint, now: now) }
            }
        default:
            // SDES, BYE, REMB and XR end here, as in JVB.
            break
        }
    }

    private func note(_ reports: ReportBlocks, in packet: Span<UInt8>, from endpoint: Endpoint, now: Instant) {
        for i in 0..<reports.count {
            guard let block = reports.block(i, in: packet) else { continue }
            endpoint.outputs?.noteReport(
                on: block.ssrc, lastSenderReport: block.lastSenderReport, delaySince: block.delaySinceLastSenderReport,
                now: now)
        }
    }

    /// Passes a sender report on to everybody who gets that encoding, in the receiver's numbers.
    private func forward(_ report: SenderReport, from endpoint: Endpoint, now: Instant) {
        guard let (stream, isRetransmission) = endpoint.streams[report.sender], !isRetransmission else { return }
        stream.noteSenderReport(report, now: now)
        for receiver in endpoints where receiver !== endpoint {
            guard let outputs = receiver.outputs, let forwarder = receiver.forwarders[stream.source],
                let row = forwarder.output, let offset = forwarder.timestampOffset(of: stream.encoding)
            else { continue }
            let counters = outputs.senderReportCounters(row, ntp: report.ntpTimestamp, now: now)
            shard.sendRTCP(to: receiver) { writer in
                writer.senderReport(
                    sender: counters.ssrc, ntpTimestamp: report.ntpTimestamp,
                    rtpTimestamp: report.rtpTimestamp.advanced(by: offset), packetCount: counters.packets,
                    octetCount: counters.octets)
            }
        }
    }

    private func answer(_ lost: SequenceNumber, on ssrc: SSRC, for endpoint: Endpoint, now: Instant) {
        guard let outputs = endpoint.outputs else { return }
        if outputs.retransmit(lost, on: ssrc, from: self, into: shard.batch, now: now) { return }
        shard.statistics.count(.nackUnanswered)
        requestKeyframe(of: ssrc, for: endpoint, now: now)
    }

    /// A receiver cannot decode the stream that it knows under `ssrc`: asks the sender of the encoding it gets.
    private func requestKeyframe(of ssrc: SSRC, for receiver: Endpoint, now: Instant) {
        for source in sources {
            guard let source, source.kind == .video, source.primary.ssrc == ssrc,
                let forwarder = receiver.forwarders[source.index]
            else { continue }
            let encoding = forwarder.currentEncoding == Forwarder.none ? forwarder.target : forwarder.currentEncoding
            if encoding >= 0 { requestKeyframe(source.encodings[Int(encoding)].stream.id, now: now) }
            return
        }
    }

    // MARK: Timed feedback

    /// NACKs, transport feedback and receiver reports that are due.
    func sendFeedback(now: Instant) {
        for endpoint in endpoints where endpoint.transport.isConnected {
            sendNACKs(to: endpoint, now: now)
            if endpoint.feedback.isDue(now: now) { sendTransportFeedback(to: endpoint, now: now) }
            if now - endpoint.lastReceiverReportAt >= .milliseconds(500) {
                endpoint.lastReceiverReportAt = now
                sendReceiverReports(to: endpoint, now: now)
            }
        }
    }

    private func sendNACKs(to endpoint: Endpoint, now: Instant) {
        for source in endpoint.sources where source.kind == .video {
            for encoding in source.encodings {
                if encoding.stream.needsKeyframe { requestKeyframe(encoding.stream.id, now: now) }
                shard.lost.removeAll(keepingCapacity: true)
                encoding.stream.takeLost(now: now, roundTrip: endpoint.roundTrip, into: &shard.lost)
                guard !shard.lost.isEmpty else { continue }
                shard.statistics.nacksSent += shard.lost.count
                let lost = shard.lost
                shard.sendRTCP(to: endpoint) { [videoFeedbackSSRC] writer in
                    _ = writer.nack(sender: videoFeedbackSSRC, media: encoding.stream.ssrc, lost: lost.span)
                }
            }
        }
    }

    private func sendTransportFeedback(to endpoint: Endpoint, now: Instant) {
        let media = endpoint.sources.first { $0.kind == .video }?.primary.ssrc ?? videoFeedbackSSRC
        var more = true
        while more {
            shard.sendRTCP(to: endpoint) { [videoFeedbackSSRC] writer in
                more = endpoint.feedback.write(sender: videoFeedbackSSRC, media: media, to: &writer, now: now)
            }
        }
    }

    private func sendReceiverReports(to endpoint: Endpoint, now: Instant) {
        shard.blocks.removeAll(keepingCapacity: true)
        for source in endpoint.sources {
            for encoding in source.encodings where encoding.stream.isActive {
                if let block = encoding.stream.reportBlock(now: now) { shard.blocks.append(block) }
            }
        }
        let blocks = shard.blocks
        var first = 0
        while first < blocks.count {
            let end = min(first + 31, blocks.count)
            shard.sendRTCP(to: endpoint) { [videoFeedbackSSRC] writer in
                writer.receiverReport(sender: videoFeedbackSSRC, blocks: blocks.span.extracting(first..<end))
            }
            first = end
        }
    }
}
