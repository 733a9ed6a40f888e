// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Sees what endpoints send as the bridge sees it, decrypted: for recordings that debugging and tests need.

public import RTP

/// Called on the thread of its shard, for authentic packets only, before anything is dropped or rewritten. Must not block.
public protocol PacketTap: AnyObject {
    /// One packet of an endpoint.
    ///
    /// - Parameters:
    ///   - packet: a plaintext RTP packet, or RTCP compound when `isRTCP`; valid during the call only.
    ///   - id: the endpoint's id as signalled, not unique over time; the handle is.
    ///   - now: when its batch was received.
    func received(
        _ packet: UnsafeRawBufferPointer, isRTCP: Bool, from endpoint: EndpointHandle, id: String, now: Instant)

    /// The endpoint is gone, whether or not it ever sent a packet.
    func ended(_ endpoint: EndpointHandle)
}
