// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// Finds the state of an SSRC: open addressing over flat memory that is allocated once and whose rows never move or
/// leave.
///
/// Immutable on the outside (its memory is what changes), so that reading it through a class costs no exclusivity check.
@safe struct StreamTable<Row: BitwiseCopyable>: ~Copyable {
    /// How many SSRCs fit.
    let limit: Int
    private let mask: Int
    /// Row number + 1, 0 where free; twice as many as rows, so a search ends.
    private let slots: UnsafeMutablePointer<UInt16>
    private let ssrcs: UnsafeMutablePointer<UInt32>
    private let rows: UnsafeMutablePointer<Row>
    private let used: UnsafeMutablePointer<Int>

    /// - Parameter limit: 1...16384, rounded up to a power of two.
    init(limit wanted: Int) {
        var limit = 1
        while limit < min(wanted, 16_384) { limit *= 2 }
        self.limit = limit
        mask = limit * 2 - 1
        unsafe slots = .allocate(capacity: limit * 2)
        unsafe slots.initialize(repeating: 0, count: limit * 2)
        unsafe ssrcs = .allocate(capacity: limit)
        unsafe rows = .allocate(capacity: limit)
        unsafe used = .allocate(capacity: 1)
        unsafe used.initialize(to: 0)
    }

    deinit {
        unsafe slots.deallocate()
        unsafe ssrcs.deallocate()
        unsafe rows.deallocate()
        unsafe used.deallocate()
    }

    @inline(__always)
    var count: Int { unsafe used.pointee }

    /// Row number of an SSRC, nil when it has none.
    @inline(__always)
    func find(_ ssrc: SSRC) -> Int? {
        let slot = slot(of: ssrc)
        let entry = unsafe slots[slot]
        return entry == 0 ? nil : Int(entry) - 1
    }

    /// Row number of an SSRC, which gets `row` when it has none yet; nil when the table is full.
    func findOrAdd(_ ssrc: SSRC, _ row: @autoclosure () -> Row) -> Int? {
        let slot = slot(of: ssrc)
        let entry = unsafe slots[slot]
        if entry != 0 { return Int(entry) - 1 }
        let number = count
        guard number < limit else { return nil }
        unsafe (ssrcs + number).initialize(to: ssrc.rawValue)
        unsafe (rows + number).initialize(to: row())
        unsafe slots[slot] = UInt16(truncatingIfNeeded: number + 1)
        unsafe used.pointee = number + 1
        return number
    }

    /// The SSRC of row `number`, which must be below `count`.
    @inline(__always)
    func ssrc(at number: Int) -> SSRC { SSRC(rawValue: unsafe ssrcs[number]) }

    /// The row `number`, which must be below `count`. Valid as long as the table.
    @inline(__always)
    func row(at number: Int) -> UnsafeMutablePointer<Row> { unsafe rows + number }

    /// Where the SSRC is, or where it would go.
    @inline(__always)
    private func slot(of ssrc: SSRC) -> Int {
        var slot = Int(truncatingIfNeeded: (ssrc.rawValue &* 0x9E37_79B1) >> 16) & mask
        while true {
            let entry = unsafe slots[slot]
            if entry == 0 { return slot }
            if unsafe ssrcs[Int(entry) - 1] == ssrc.rawValue { return slot }
            slot = (slot + 1) & mask
        }
    }
}
