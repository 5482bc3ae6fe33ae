import CoreGraphics
import CoreML
import CoreVideo
import Foundation

/// @model@: images, which become @image_width@ x @image_height@ pixels, as vectors of @width@ numbers.
public final class ImageEmbedding: Sendable {
    private let output: String
    private let images: Images
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first image that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let output = bundle.manifest.processing.answer?.output, let image = bundle.manifest.processing.image else {
            throw ModelError.bundleDamaged("edgepack.json does not say how images become vectors")
        }
        self.output = output
        images = Images(image: image)
        model = try CoreMLModel(bundle: bundle, units: units)
    }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await model.load(progress: progress)
        let grey = Pixels.made(size.height, size.width, images.image.channels) { _, _, _ in 127 }
        _ = try await embed([grey])
        progress(1)
    }

    /// Returns a vector of @width@ numbers for each image.
    public func embed(_ images: [Pixels]) async throws -> [[Float]] {
        var vectors: [[Float]] = []
        for image in images {
            try Task.checkCancellation()
            let buffer = try prepared(image).buffer()
            vectors.append(try await model.predict(["image": MLFeatureValue(pixelBuffer: buffer)]).floats(output))
        }
        return vectors
    }

    /// Returns the vector of an image, @width@ numbers.
    public func embed(_ image: CGImage) async throws -> [Float] { try await embed([Pixels(image)])[0] }

    /// Returns the vector of a camera's buffer (32BGRA), @width@ numbers.
    public func embed(_ buffer: CVPixelBuffer) async throws -> [Float] { try await embed([Pixels(buffer)])[0] }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    var size: Manifest.Image.Size { images.image.size }

    func prepared(_ image: Pixels) throws -> Pixels { try images.prepared(image) }
}
