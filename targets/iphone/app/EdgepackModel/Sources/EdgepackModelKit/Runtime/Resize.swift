import Foundation

/// Resizes as Pillow 13 does, to the last bit: a filter that is widened where the image shrinks, weights in 22-bit fixed
/// point, and a rounding to bytes after each of two passes.
extension Pixels {
    func resized(height wanted: Int, width across: Int, resample: String) throws -> Pixels {
        guard wanted > 0, across > 0 else { throw ModelError.input("an image of \(height) x \(width) is too narrow") }
        if (height, width) == (wanted, across) { return self }
        if resample == "nearest" {
            let (rows, columns) = (Self.nearest(height, wanted), Self.nearest(width, across))
            return Pixels.made(wanted, across, channels) { self[rows[$0], columns[$1], $2] }
        }
        let lost = height - wanted
        if lost > 0, lost > 2 * (width - across) {
            return try down(wanted, resample).across(across, resample)
        }
        return try self.across(across, resample).down(wanted, resample)
    }

    /// The source pixel of each new one; summed up as Pillow does it, since ties hang on the last bit.
    private static func nearest(_ size: Int, _ wanted: Int) -> [Int] {
        let step = Double(size) / Double(wanted)
        var place = step / 2
        return (0..<wanted).map { _ in
            defer { place += step }
            return Int(place)
        }
    }

    private func down(_ wanted: Int, _ resample: String) throws -> Pixels {
        if height == wanted { return self }
        let taps = try Taps.all(height, wanted, resample)
        return Pixels.made(wanted, width, channels) { y, x, channel in
            taps[y].sum { self[$0, x, channel] }
        }
    }

    private func across(_ wanted: Int, _ resample: String) throws -> Pixels {
        if width == wanted { return self }
        let taps = try Taps.all(width, wanted, resample)
        return Pixels.made(height, wanted, channels) { y, x, channel in
            taps[x].sum { self[y, $0, channel] }
        }
    }
}

/// How much the source pixels from `first` on count for one new pixel, in 2^-22.
private struct Taps {
    let first: Int
    let weights: [Int]
    static let bits = 22

    func sum(_ value: (Int) -> Int) -> Int {
        var total = 1 << (Taps.bits - 1)
        for (tap, weight) in weights.enumerated() { total += weight * value(first + tap) }
        return min(max(total >> Taps.bits, 0), 255)
    }

    static func all(_ size: Int, _ wanted: Int, _ resample: String) throws -> [Taps] {
        guard let (kernel, support) = filters[resample] else {
            throw ModelError.bundleDamaged("edgepack.json names the resampling \(resample)")
        }
        let scale = Double(size) / Double(wanted)
        let stretch = max(scale, 1)
        return (0..<wanted).map { number in
            let centre = (Double(number) + 0.5) * scale
            let first = max(Int(centre - support * stretch + 0.5), 0)
            let last = min(Int(centre + support * stretch + 0.5), size)
            let shares = (first..<last).map { kernel((Double($0) - centre + 0.5) * (1 / stretch)) }
            let total = shares.reduce(0, +)
            return Taps(first: first, weights: shares.map { fixed(total == 0 ? $0 : $0 / total) })
        }
    }

    private static func fixed(_ weight: Double) -> Int {
        Int((weight * Double(1 << bits) + (weight < 0 ? -0.5 : 0.5)).rounded(.towardZero))
    }

    private static let filters: [String: ((Double) -> Double, Double)] = [
        "lanczos": ({ $0 >= -3 && $0 < 3 ? Taps.sinc($0) * Taps.sinc($0 / 3) : 0 }, 3),
        "bilinear": ({ max(1 - abs($0), 0) }, 1),
        "bicubic": ({ Taps.cubic(abs($0)) }, 2),
        "box": ({ $0 > -0.5 && $0 <= 0.5 ? 1 : 0 }, 0.5),
        "hamming": ({ Taps.hamming(abs($0)) }, 1),
    ]

    private static func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(.pi * x) / (.pi * x) }

    private static func cubic(_ x: Double) -> Double {
        let a = -0.5
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
    }

    private static func hamming(_ x: Double) -> Double {
        x < 1 ? sinc(x) * (Double(Float(0.54)) + Double(Float(0.46)) * cos(x * .pi)) : 0
    }
}
