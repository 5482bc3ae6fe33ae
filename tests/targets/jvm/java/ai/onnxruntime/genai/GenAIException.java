package ai.onnxruntime.genai;

public class GenAIException extends Exception {
    GenAIException(String message) {
        super(message);
    }
}
