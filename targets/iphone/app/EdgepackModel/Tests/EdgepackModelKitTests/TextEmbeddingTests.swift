import XCTest

@testable import EdgepackModelKit

/// Vectors as the original's, from texts on.
final class TextEmbeddingTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await TextEmbedding()
        try await checkGolden(ModelBundle.included(), kind: "text") { try await model.embed($0.texts)[0] }
    }

    func testTextsThatGoWrongFirst() async throws {
        let model = try await TextEmbedding()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".text") {
            let text = try XCTUnwrap(tensors["\(number).text"]).texts[0]
            XCTAssertEqual(try model.ids(text), tensors["\(number).input.input_ids"]?.numbers, text)
        }
    }

    func testATextIsLikeItself() async throws {
        let model = try await TextEmbedding()
        let vectors = try await model.embed(["A cat sleeps.", "A cat sleeps.", "Interest rates rose."])
        XCTAssertGreaterThan(
            try model.similarity(vectors[0], vectors[1]), try model.similarity(vectors[0], vectors[2]))
    }

    func testAPromptIsANameOfTheModelsOrATextOfOnesOwn() async throws {
        let model = try await TextEmbedding()
        if try ModelBundle.included().manifest.processing.text?.includePrompt != false {
            let own = try await model.embed(["cat sleeps."], prompt: "A ")
            let whole = try await model.embed(["A cat sleeps."], prompt: "")
            XCTAssertEqual(own, whole)
        }
        for (name, text) in [("none such", nil), ("a", "b")] as [(String, String?)] {
            do {
                _ = try await model.embed(["A"], promptName: name, prompt: text)
                XCTFail("the prompt \(name) was taken")
            } catch ModelError.input {}
        }
    }
}
