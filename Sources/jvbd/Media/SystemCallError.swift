// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Glibc

/// A system call that failed for a reason that only the operator can mend.
struct SystemCallError: Error, CustomStringConvertible {
    let call: String
    /// The kernel's number for the reason.
    let errno: Int32

    /// - Parameter result: what the call returned: the negated error number.
    init(_ call: String, result: Int32) {
        self.call = call
        errno = -result
    }

    var description: String { "\(call): \(Self.text(of: errno))" }

    /// What the system calls an error number.
    static func text(of errno: Int32) -> String {
        guard let text = unsafe strerror(errno) else { return "error \(errno)" }
        return unsafe String(cString: text)
    }
}

func closeDescriptor(_ descriptor: Int32) {
    _ = Glibc.close(descriptor)
}
