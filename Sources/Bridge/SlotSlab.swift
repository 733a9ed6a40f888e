// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The packet memory of one shard: slots of two sizes, taken and released by index, never given back to malloc.

/// Index of a slot; the top bit tells the class. A slot has exactly one owner (the ring of its stream), which releases it.
struct SlotID: RawRepresentable, Hashable, BitwiseCopyable {
    var rawValue: UInt32

    var isLarge: Bool { rawValue & 0x8000_0000 != 0 }
    var index: Int { Int(rawValue & 0x7FFF_FFFF) }
}

/// Two classes of slots: audio and other small packets fit 256 bytes, everything else an Ethernet frame.
@safe
final class SlotSlab {
    /// Longest packet that a slot holds, in bytes.
    static let largestPacket = 1536
    /// Room behind the longest packet that a cipher may write to.
    static let slack = 64

    private var small: SlotClass
    private var large: SlotClass

    /// - Parameter byteLimit: most memory that the slab ever takes, in bytes.
    init(byteLimit: Int = 512 << 20) {
        unsafe small = SlotClass(slotSize: 256, byteLimit: byteLimit / 8)
        unsafe large = SlotClass(slotSize: Self.largestPacket + Self.slack, byteLimit: byteLimit / 8 * 7)
    }

    deinit {
        unsafe small.deallocate()
        unsafe large.deallocate()
    }

    /// A slot for a packet of `length` bytes; nil when it is longer than `largestPacket` or the memory limit is reached.
    func take(length: Int) -> SlotID? {
        if length + Self.slack <= 256 {
            guard let index = unsafe small.take() else { return nil }
            return SlotID(rawValue: index)
        }
        guard length <= Self.largestPacket, let index = unsafe large.take() else { return nil }
        return SlotID(rawValue: index | 0x8000_0000)
    }

    func release(_ slot: SlotID) {
        if slot.isLarge {
            unsafe large.release(UInt32(slot.index))
        } else {
            unsafe small.release(UInt32(slot.index))
        }
    }

    @inline(__always)
    func pointer(_ slot: SlotID) -> UnsafeMutableRawPointer {
        slot.isLarge ? unsafe large.pointer(slot.index) : unsafe small.pointer(slot.index)
    }

    /// Memory taken so far, in bytes.
    var allocatedBytes: Int { unsafe small.allocatedBytes + large.allocatedBytes }
}

/// Slots of one size in chunks of 256 that are allocated as the need grows.
@unsafe
private struct SlotClass {
    private static var chunkSlots: Int { 256 }

    let slotSize: Int
    private let chunkLimit: Int
    private let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private var chunkCount = 0
    private var free: UnsafeMutablePointer<UInt32>
    private var freeCount = 0

    init(slotSize: Int, byteLimit: Int) {
        unsafe self.slotSize = slotSize
        unsafe chunkLimit = unsafe max(1, byteLimit / (slotSize * Self.chunkSlots))
        unsafe chunks = .allocate(capacity: chunkLimit)
        unsafe free = .allocate(capacity: chunkLimit * Self.chunkSlots)
    }

    var allocatedBytes: Int { unsafe chunkCount * Self.chunkSlots * slotSize }

    mutating func take() -> UInt32? {
        if unsafe freeCount == 0 {
            guard unsafe chunkCount < chunkLimit else { return nil }
            unsafe chunks[chunkCount] = .allocate(byteCount: slotSize * Self.chunkSlots, alignment: 64)
            for i in unsafe stride(from: Self.chunkSlots - 1, through: 0, by: -1) {
                unsafe free[freeCount] = UInt32(chunkCount * Self.chunkSlots + i)
                unsafe freeCount += 1
            }
            unsafe chunkCount += 1
        }
        unsafe freeCount -= 1
        return unsafe free[freeCount]
    }

    mutating func release(_ index: UInt32) {
        unsafe free[freeCount] = index
        unsafe freeCount += 1
    }

    @inline(__always)
    func pointer(_ index: Int) -> UnsafeMutableRawPointer {
        unsafe chunks[index >> 8] + (index & 255) * slotSize
    }

    func deallocate() {
        for i in unsafe 0..<chunkCount { unsafe chunks[i].deallocate() }
        unsafe chunks.deallocate()
        unsafe free.deallocate()
    }
}
