import CoreML
import Foundation

/// Images to what the model takes, by the steps of the bundle; rescaling and normalising are inside of the model.
struct Images: Sendable {
    let image: Manifest.Image

    /// The image in the model's size and channels. Throws `ModelError.input`.
    func prepared(_ given: Pixels) throws -> Pixels {
        var pixels = try coloured(given)
        for step in image.steps {
            switch step.op {
            case "resize", "resize_within", "resize_shortest_edge": pixels = try resized(pixels, step)
            case "center_crop", "center_crop_ratio": pixels = cropped(pixels, step)
            case "rescale", "normalize", "reverse_channels": continue
            default: throw ModelError.bundleDamaged("edgepack.json names the step \(step.op)")
            }
        }
        guard pixels.height == image.size.height, pixels.width == image.size.width else {
            throw ModelError.input(
                "the image is not resized and is \(pixels.height) x \(pixels.width); the model takes "
                    + "\(image.size.height) x \(image.size.width)")
        }
        return pixels
    }

    private func coloured(_ given: Pixels) throws -> Pixels {
        let opaque = try given.channels == 4 ? self.opaque(given) : given
        if opaque.channels == image.channels { return opaque }
        return Pixels.made(opaque.height, opaque.width, image.channels) { y, x, _ in
            if image.channels == 3 { return opaque[y, x, 0] }  // ITU-R 601, as Pillow has it:
            return (19595 * opaque[y, x, 0] + 38470 * opaque[y, x, 1] + 7471 * opaque[y, x, 2] + 32768) >> 16
        }
    }

    private func opaque(_ given: Pixels) throws -> Pixels {
        switch image.alpha {
        case "drop":
            return Pixels.made(given.height, given.width, 3) { given[$0, $1, $2] }
        case "white":
            return Pixels.made(given.height, given.width, 3) { y, x, channel in
                let opacity = Double(given[y, x, 3]) / 255
                let mixed = opacity * Double(given[y, x, channel]) + (1 - opacity) * 255
                return Int(mixed.rounded(.toNearestOrEven))
            }
        default:
            throw ModelError.input("the image has transparency, and the model's authors do not say how to treat it")
        }
    }

    private func resized(_ pixels: Pixels, _ step: Manifest.Image.Step) throws -> Pixels {
        let (height, width) = (pixels.height, pixels.width)
        var size = (step.height ?? 0, step.width ?? 0)
        if step.op == "resize_within" {
            let scale = min(Double(step.maxHeight ?? 0) / Double(height), Double(step.maxWidth ?? 0) / Double(width))
            size = (Int(Double(height) * scale), Int(Double(width) * scale))
        } else if step.op == "resize_shortest_edge" {
            let (near, far) = edges(min(height, width), max(height, width), step)
            size = height <= width ? (near, far) : (far, near)
        }
        return try pixels.resized(height: size.0, width: size.1, resample: step.resample ?? "")
    }

    /// The shorter and the longer side after a resize by the shorter one.
    private func edges(_ short: Int, _ long: Int, _ step: Manifest.Image.Step) -> (Int, Int) {
        let wanted = step.shortestEdge ?? 0
        var near = wanted
        var far = Int(Double(wanted * long) / Double(short))
        if let longest = step.longestEdge, Double(long) / Double(short) * Double(wanted) > Double(longest) {
            let exact = Double(longest * short) / Double(long)
            near = Int(exact.rounded(.toNearestOrEven))
            far = near == short ? long : Int(exact * Double(long) / Double(short))
        }
        let unit = step.multipleOf ?? 1
        return ((near + unit - 1) / unit * unit, (far + unit - 1) / unit * unit)
    }

    /// The centre; what lies outside is black. Half a pixel of an odd margin is rounded down, or as torchvision does.
    private func cropped(_ pixels: Pixels, _ step: Manifest.Image.Step) -> Pixels {
        let short = Double(min(pixels.height, pixels.width))
        let height = step.heightRatio.map { Int($0 * short) } ?? step.height ?? 0
        let width = step.widthRatio.map { Int($0 * short) } ?? step.width ?? 0
        let top = start(pixels.height - height, step)
        let left = start(pixels.width - width, step)
        return Pixels.made(height, width, pixels.channels) { y, x, channel in
            let inside = (0..<pixels.height).contains(y + top) && (0..<pixels.width).contains(x + left)
            return inside ? pixels[y + top, x + left, channel] : 0
        }
    }

    private func start(_ margin: Int, _ step: Manifest.Image.Step) -> Int {
        let half = Double(margin) / 2
        if step.odd != "torchvision" { return Int(half.rounded(.down)) }
        return Int(half.rounded(half < 0 ? .up : .toNearestOrEven))
    }
}
