import CoreGraphics
import CoreVideo
import Foundation

/// An image: a byte 0...255 per channel (1: grey, 3: red, green, blue, 4: and alpha), row after row.
public struct Pixels: Sendable, Equatable {
    public let height: Int
    public let width: Int
    public let channels: Int
    public let bytes: [UInt8]

    /// Throws `ModelError.input` where the bytes are no such image.
    public init(height: Int, width: Int, channels: Int, bytes: [UInt8]) throws {
        guard height > 0, width > 0, [1, 3, 4].contains(channels), bytes.count == height * width * channels else {
            throw ModelError.input("\(bytes.count) bytes are no image of \(height) x \(width) x \(channels)")
        }
        self.init(height, width, channels, bytes)
    }

    init(_ height: Int, _ width: Int, _ channels: Int, _ bytes: [UInt8]) {
        (self.height, self.width, self.channels, self.bytes) = (height, width, channels, bytes)
    }

    /// The pixels of an image in sRGB; turn it upright before, as its EXIF orientation says. A transparent one is drawn on
    /// white: where its colours are to stay, or the model's own rule is to decide, give bytes with four channels.
    public init(_ image: CGImage) throws {
        var drawn = [UInt8](repeating: 255, count: image.width * image.height * 4)
        let space = CGColorSpace(name: CGColorSpace.sRGB) ?? CGColorSpaceCreateDeviceRGB()
        let done = drawn.withUnsafeMutableBytes { place -> Bool in
            guard
                let context = CGContext(
                    data: place.baseAddress, width: image.width, height: image.height, bitsPerComponent: 8,
                    bytesPerRow: image.width * 4, space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            else { return false }
            context.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
            return true
        }
        guard done else { throw ModelError.input("the image cannot be drawn") }
        let colours = drawn.indices.filter { $0 % 4 != 3 }.map { drawn[$0] }
        self.init(image.height, image.width, 3, colours)
    }

    /// The pixels of a camera's buffer in the format 32BGRA.
    public init(_ buffer: CVPixelBuffer) throws {
        guard CVPixelBufferGetPixelFormatType(buffer) == kCVPixelFormatType_32BGRA else {
            throw ModelError.input("a pixel buffer must be 32BGRA")
        }
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        let (height, width) = (CVPixelBufferGetHeight(buffer), CVPixelBufferGetWidth(buffer))
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        guard let base = CVPixelBufferGetBaseAddress(buffer)?.assumingMemoryBound(to: UInt8.self) else {
            throw ModelError.input("the pixel buffer has no memory")
        }
        var colours: [UInt8] = []
        colours.reserveCapacity(height * width * 3)
        for y in 0..<height {
            for x in 0..<width {
                let place = y * stride + x * 4
                colours += [base[place + 2], base[place + 1], base[place]]
            }
        }
        self.init(height, width, 3, colours)
    }

    subscript(y: Int, x: Int, channel: Int) -> Int { Int(bytes[(y * width + x) * channels + channel]) }

    /// An image whose bytes `value` gives for a row, a column and a channel.
    static func made(_ height: Int, _ width: Int, _ channels: Int, _ value: (Int, Int, Int) -> Int) -> Pixels {
        var bytes = [UInt8](repeating: 0, count: height * width * channels)
        for place in bytes.indices {
            let pixel = place / channels
            bytes[place] = UInt8(value(pixel / width, pixel % width, place % channels))
        }
        return Pixels(height, width, channels, bytes)
    }

    /// What Core ML takes as an image: 32BGRA, or one component of 8 bits.
    func buffer() throws -> CVPixelBuffer {
        let format = channels == 1 ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        var created: CVPixelBuffer?
        CVPixelBufferCreate(nil, width, height, format, nil, &created)
        guard let made = created else { throw ModelError.runtime("there is no memory for an image") }
        CVPixelBufferLockBaseAddress(made, [])
        defer { CVPixelBufferUnlockBaseAddress(made, []) }
        guard let base = CVPixelBufferGetBaseAddress(made)?.assumingMemoryBound(to: UInt8.self) else {
            throw ModelError.runtime("there is no memory for an image")
        }
        let stride = CVPixelBufferGetBytesPerRow(made)
        for y in 0..<height {
            for x in 0..<width {
                if channels == 1 {
                    base[y * stride + x] = UInt8(self[y, x, 0])
                } else {
                    for (channel, place) in [2, 1, 0].enumerated() {
                        base[y * stride + x * 4 + place] = UInt8(self[y, x, channel])
                    }
                    base[y * stride + x * 4 + 3] = 255
                }
            }
        }
        return made
    }
}
